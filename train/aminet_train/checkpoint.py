# SPDX-License-Identifier: Apache-2.0
"""A checkpoint on disk: weights as safetensors, everything else as JSON. No pickle.

CHECKPOINT/
network.safetensors   the weights
checkpoint.json       how to build the network, its preprocessing, regions, decision rule,
how it was trained
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from aminet_runtime.errors import ModelIncompatible, ModelInvalid
from aminet_runtime.publish import write_whole
from aminet_runtime.regions import Regions
from aminet_train.model import DeployableModel, SpiralModel, deployable
from aminet_train.networks import Approach, NetworkConfig, build_network, config_from_json
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig, in_channels
from aminet_train.slice_window import SINGLE_SLICE, SliceWindow
from aminet_train.thresholds import ChosenRule

SCHEMA = "aminet.checkpoint/2"
WEIGHTS_FILE = "network.safetensors"
ABOUT_FILE = "checkpoint.json"
CHECKPOINT_FOLDER = "checkpoint"
"""Of a training run."""
LEARNED_FROM = "train"
"""Of `training`'s `data`: the split that the network learned from."""
LEARNED_BEFORE = "learned_before"
"""Of `training`: fingerprints that the network had learned from when its run began."""


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """Everything about a checkpoint but its weights.

    Attributes:
        approach: Which network.
        network: How it is built.
        preprocessing: What stands before it.
        regions: Names and mirror.
        rule: How scores become decisions, chosen on validation.
        training: Config, data, versions and metrics, as plain JSON values.
        window: Neighbours that the network looks at.
        leaking: Whether it was trained on slices of the patients that it was validated on.
    """

    approach: Approach
    network: NetworkConfig
    preprocessing: PreprocessingConfig
    regions: Regions
    rule: ChosenRule
    training: Mapping[str, Any]
    window: SliceWindow = SINGLE_SLICE
    leaking: bool = False

    @property
    def learned(self) -> frozenset[str]:
        """Fingerprints of all scans that the weights have learned from, in earlier runs, too."""
        here = self.training.get("data", {}).get(LEARNED_FROM, {}).get("fingerprints", ())
        return frozenset(here) | frozenset(self.training.get(LEARNED_BEFORE, ()))


def run_name(folder: Path) -> str:
    """Return the name of the run that wrote a checkpoint, or of the folder itself."""
    place = folder.resolve()
    return place.parent.name if place.name == CHECKPOINT_FOLDER else place.name


def save_checkpoint(folder: Path, network: nn.Module, info: CheckpointInfo) -> None:
    """Write weights, then the JSON that makes them a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_whole(folder / WEIGHTS_FILE, save(state))
    write_whole(folder / ABOUT_FILE, (json.dumps(_to_json(info), indent=1) + "\n").encode())


def load_info(folder: Path) -> CheckpointInfo:
    """Read the JSON of a checkpoint.

    Raises:
        ModelInvalid: There is none, or it cannot be read.
        ModelIncompatible: It has another format version.
    """
    path = folder / ABOUT_FILE
    try:
        return _from_json(json.loads(path.read_bytes()), path)
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ModelInvalid(
            f"not a checkpoint: {cause}", path=path, hint="name the folder that aminet-train wrote"
        ) from cause


def load_network(folder: Path, info: CheckpointInfo) -> nn.Module:
    """Build the network and load its weights, in eval mode.

    Raises:
        ModelInvalid: The weights are truncated, pickled or not finite.
        ModelIncompatible: They are of another architecture.
    """
    network = build_network(
        info.network,
        in_channels=in_channels(info.preprocessing, info.window),
        size_px=info.preprocessing.size_px,
        slices=info.window.fused_slices,
    )
    load_weights(folder, network)
    return network.eval()


def load_weights(folder: Path, network: nn.Module, *, may_lack: Sequence[str] = ()) -> None:
    """Load the weights of a checkpoint into a network.

    Args:
        folder: The checkpoint.
        network: Changed.
        may_lack: Starts of the names of weights that stay as they are if the checkpoint has none.

    Raises:
        ModelInvalid: The weights are truncated, pickled or not finite.
        ModelIncompatible: They are of another architecture.
    """
    state = _read_weights(folder / WEIGHTS_FILE)
    own = network.state_dict()
    for start in may_lack:
        if not any(name.startswith(start) for name in state):
            state |= {name: own[name] for name in own if name.startswith(start)}
    try:
        network.load_state_dict(state)
    except RuntimeError as cause:
        raise ModelIncompatible(
            "the weights are of another network", path=folder / WEIGHTS_FILE, hint="train again"
        ) from cause


def load_model(folder: Path) -> tuple[CheckpointInfo, DeployableModel]:
    """Load a checkpoint as the whole model, raw HU in and probabilities out."""
    info = load_info(folder)
    preprocessing = Preprocessing(info.preprocessing, info.window)
    kind = SpiralModel if info.approach is Approach.SPIRAL else deployable
    return info, kind(preprocessing, load_network(folder, info)).eval()


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = load(path.read_bytes())
    except (OSError, SafetensorError) as cause:
        raise ModelInvalid(
            "the weights are not a whole safetensors file", path=path, hint="copy them again"
        ) from cause
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelInvalid(f"{name} holds values that are not finite", path=path)
    return state


def _to_json(info: CheckpointInfo) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "approach": info.approach.value,
        "network": asdict(info.network),
        "preprocessing": info.preprocessing.to_json(),
        "window": info.window.to_json(),
        "leaking": info.leaking,
        "regions": {"names": info.regions.names, "mirror": info.regions.mirror},
        "rule": asdict(info.rule),
        "training": dict(info.training),
    }


def _from_json(values: dict[str, Any], path: Path) -> CheckpointInfo:
    if values["schema"] != SCHEMA:
        raise ModelIncompatible(
            f"format {values['schema']!r}, this version reads {SCHEMA!r}", path=path
        )
    approach = Approach(values["approach"])
    mirror = values["regions"]["mirror"]
    return CheckpointInfo(
        approach=approach,
        network=config_from_json(approach, values["network"]),
        preprocessing=PreprocessingConfig.from_json(values["preprocessing"]),
        regions=Regions(tuple(values["regions"]["names"]), mirror and tuple(mirror)),
        rule=_rule_from_json(values["rule"]),
        training=values["training"],
        window=SliceWindow.from_json(values["window"]),
        leaking=values["leaking"],
    )


def _rule_from_json(values: dict[str, Any]) -> ChosenRule:
    thresholds = tuple(values["patient_thresholds"])
    return ChosenRule(thresholds, values["slice_threshold"], values["min_consecutive_slices"])
