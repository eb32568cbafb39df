# SPDX-License-Identifier: Apache-2.0
"""The state of a training run on disk, from which it goes on as if nothing had happened.

RUN/state/state.safetensors holds the network, the optimiser's moments, the best weights so far and
their validation scores; where the run is stands as JSON in the file's header. One file, so that a
rename replaces all of it at once. What is drawn at random is a function of the seed and the step
and needs no place here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from aminet_runtime.errors import InputInconsistent, ModelInvalid
from aminet_runtime.publish import write_whole
from aminet_train.fitting.progress import Progress

STATE_SCHEMA = "aminet.state/1"
STATE_FILE = "state.safetensors"
ABOUT_KEY = "aminet"


@dataclass(frozen=True, slots=True)
class BestWeights:
    """The weights of the best validation so far.

    Attributes:
        network: Its state.
        scores: Of the validation slices, one patient below the other, float32 [n, 15].
    """

    network: Mapping[str, Tensor] = field(default_factory=dict)
    scores: Tensor = field(default_factory=lambda: torch.zeros(0, 15))


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a run is and what it has learned.

    Attributes:
        progress: Counters and metrics.
        network: State of the network.
        moments: State of the optimiser, by parameter and name.
        best: The weights to keep.
        data: Fingerprint of the prepared data.
    """

    progress: Progress
    network: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    best: BestWeights
    data: str


def save_state(folder: Path, state: RunState) -> None:
    """Replace the state on disk, all at once."""
    about = {"schema": STATE_SCHEMA, "data": state.data, "progress": state.progress.to_json()}
    tensors = {
        **_prefixed("network.", state.network),
        **_prefixed("moments.", state.moments),
        **_prefixed("best.", state.best.network),
        "best_scores": state.best.scores,
    }
    write_whole(folder / STATE_FILE, save(tensors, metadata={ABOUT_KEY: json.dumps(about)}))


def load_state(folder: Path, *, data: str) -> RunState | None:
    """Read the state of a run; None where it was ended before it had one.

    Args:
        folder: Where `save_state` wrote it.
        data: Fingerprint of the prepared data as they are now.

    Raises:
        ModelInvalid: The file is damaged, or of another version.
        InputInconsistent: The data are not those that the run began with.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return None
    try:
        about, tensors = _read(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as cause:
        raise ModelInvalid(
            "not the state of a training run", path=path, hint="delete it to begin the run anew"
        ) from cause
    if about["data"] != data:
        raise InputInconsistent(
            "the prepared data have changed since this run began",
            path=path,
            hint="restore them, or begin a new run",
        )
    return RunState(
        progress=Progress.from_json(about["progress"]),
        network=_selected("network.", tensors),
        moments=_selected("moments.", tensors),
        best=BestWeights(_selected("best.", tensors), tensors["best_scores"]),
        data=data,
    )


def optimizer_moments(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's tensors as `parameter name/name of the moment`."""
    return {
        f"{name}/{kind}": tensor
        for name, parameter in network.named_parameters()
        for kind, tensor in optimizer.state.get(parameter, {}).items()
    }


def restore_moments(
    network: nn.Module, optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]
) -> None:
    """Put the optimiser's tensors back, in the memory layout of their parameters.

    The layout decides in which order an engine adds up, and so the last bit.
    """
    for name, parameter in network.named_parameters():
        own = {
            key.partition("/")[2]: tensor
            for key, tensor in moments.items()
            if key.partition("/")[0] == name
        }
        if own:
            optimizer.state[parameter] = {
                kind: _in_layout_of(parameter, tensor) for kind, tensor in own.items()
            }


def split_scores(scores: Tensor, counts: Sequence[int]) -> list[Any]:
    """Cut stored scores into float32 [m, 15] for each patient."""
    return [part.numpy() for part in torch.split(scores, list(counts))]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        about: dict[str, Any] = json.loads(file.metadata()[ABOUT_KEY])
        if about["schema"] != STATE_SCHEMA:
            raise ValueError(f"format {about['schema']!r}, this version reads {STATE_SCHEMA!r}")
        return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _selected(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _in_layout_of(parameter: Tensor, tensor: Tensor) -> Tensor:
    if tensor.shape != parameter.shape:  # the step counter
        return tensor
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)
