# SPDX-License-Identifier: Apache-2.0
"""Pretrained weights for a backbone: from the hub or a file, and made trainable if folded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import get_session
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from aminet_runtime.errors import InputDamaged, InputMissing, ModelIncompatible

HUB_FILE = "model.safetensors"
HUB_TIMEOUT_S = 5.0


def load_backbone(backbone: nn.Module, path: Path, *, in_channels: int) -> None:
    """Load timm weights from a safetensors file into a backbone without its classifier.

    The stem's three colour channels are summed for one grey channel, as timm does.

    Raises:
        InputMissing: There is no such file.
        InputDamaged: It is not a safetensors file, or holds values that are not finite.
        ModelIncompatible: Its tensors are not those of this backbone.
    """
    state = _read_tensors(path)
    known = pretrained_layout(backbone)
    state = {
        name: tensor for name, tensor in state.items() if not name.startswith(known.classifiers)
    }
    if known.stem in state:
        state[known.stem] = adapt_input_conv(in_channels, state[known.stem])
    try:
        backbone.load_state_dict(state)
    except RuntimeError as cause:
        raise ModelIncompatible(
            "the weights are of another network or input size",
            path=path,
            hint="check --model and --weights; those of efficientformerv2 fit one input size only",
        ) from cause


def load_from_hub(backbone: nn.Module, *, in_channels: int) -> None:
    """Load timm's ImageNet weights from its hub, or from the hub's cache on this machine.

    Raises:
        InputMissing: The hub cannot be reached; the message tells how to go on without it.
    """
    repository = pretrained_layout(backbone).repository
    try:
        path = _hub_file(repository)
    except (OSError, HTTPError) as cause:
        raise InputMissing(
            f"the ImageNet weights {repository} cannot be fetched from the hub",
            hint=f"fetch {HUB_FILE} of https://huggingface.co/{repository} elsewhere and name it "
            "with --weights FILE, or train with --weights none",
        ) from cause
    load_backbone(backbone, path, in_channels=in_channels)


@dataclass(frozen=True, slots=True)
class PretrainedLayout:
    """What timm says about the published weights of a backbone.

    Attributes:
        repository: On the hub.
        stem: Name of the first convolution's weight.
        classifiers: How the names of the layers start that we replace.
    """

    repository: str
    stem: str
    classifiers: tuple[str, ...]


def pretrained_layout(backbone: nn.Module) -> PretrainedLayout:
    """Read timm's description of the published weights."""
    about: dict[str, Any] = backbone.pretrained_cfg  # type: ignore[assignment]  # timm sets it
    names = about["classifier"]
    classifiers = (names,) if isinstance(names, str) else tuple(names)
    return PretrainedLayout(
        repository=about["hf_hub_id"],
        stem=f"{about['first_conv']}.weight",
        classifiers=tuple(f"{name}." for name in classifiers),
    )


def _hub_file(repository: str) -> Path:
    """Return the file from the hub's cache, or fetch it; fail soon where there is no network."""
    try:
        return Path(hf_hub_download(repository, HUB_FILE, local_files_only=True))
    except LocalEntryNotFoundError:
        # the download itself would try for most of a minute
        get_session().head(ENDPOINT, timeout=HUB_TIMEOUT_S)
        return Path(hf_hub_download(repository, HUB_FILE))


def has_folded_batch_norm(backbone: nn.Module) -> bool:
    """Tell whether all batch norms pass their input on unscaled, as in converted weights."""
    norms = _batch_norms(backbone)
    return bool(norms) and all(_is_identity(norm) for norm in norms)


def unfold_batch_norm(backbone: nn.Module, batches: list[Tensor]) -> None:
    """Give folded batch norms the statistics of real data without changing the function.

    Folded norms are identities; in training mode they would normalise by the batch and destroy the
    features at once. Here each norm measures mean and variance of its input, and its weight and
    bias are set so that it still returns the same values.

    Args:
        backbone: In any mode; left in eval mode.
        batches: Network inputs [N, C, h, w] as the backbone sees them, a few hundred in all.
    """
    norms = _batch_norms(backbone)
    shift_of = {norm: _identity_shift(norm) for norm in norms}
    _measure(backbone, norms, batches)
    for norm in norms:
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None  # noqa: S101 - batch norms with statistics, see _batch_norms
        assert variance is not None  # noqa: S101
        deviation = torch.sqrt(variance + norm.eps)
        norm.weight.data.copy_(deviation)
        norm.bias.data.copy_(mean + shift_of[norm])


def make_room_for_neighbours(backbone: nn.Module, *, window_size: int) -> None:
    """Widen the first convolution for a window of slices; at first only the middle ones count.

    Args:
        backbone: Has learned from single slices; only its weights are of use afterwards.
        window_size: Planes of each view, low to high, as `preprocessing.combine_planes` has them.
    """
    stem = backbone.get_parameter(pretrained_layout(backbone).stem)
    filters, views, *kernel = stem.shape
    planes = stem.new_zeros(filters, views, window_size, *kernel)
    planes[:, :, window_size // 2] = stem.detach()
    stem.data = planes.flatten(1, 2)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputMissing("there is no weights file here", path=path, hint="check --weights")
    try:
        state: dict[str, Tensor] = load_file(path)
    except SafetensorError as cause:
        raise InputDamaged(
            "not a whole safetensors file", path=path, hint="copy it again; pickles are refused"
        ) from cause
    if any(not bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise InputDamaged("holds values that are not finite", path=path, hint="copy it again")
    return state


def _batch_norms(backbone: nn.Module) -> list[nn.BatchNorm2d]:
    return [
        module
        for module in backbone.modules()
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats
    ]


def _is_identity(norm: nn.BatchNorm2d) -> bool:
    assert norm.running_mean is not None  # noqa: S101
    assert norm.running_var is not None  # noqa: S101
    return bool(
        (norm.running_mean == 0).all()
        and torch.allclose(norm.running_var + norm.eps, torch.ones(()), atol=1e-5)
        and (norm.weight == 1).all()
    )


def _identity_shift(norm: nn.BatchNorm2d) -> Tensor:
    return norm.bias.detach().clone()


def _measure(backbone: nn.Module, norms: list[nn.BatchNorm2d], batches: list[Tensor]) -> None:
    """Set running_mean and running_var to the statistics of each norm's input in eval mode."""
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def collect(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)  # noqa: S101
        values = inputs[0].double()
        sums[module] += torch.stack(
            [
                torch.full((values.shape[1],), values[:, 0].numel(), dtype=torch.float64),
                values.sum(dim=(0, 2, 3)),
                values.square().sum(dim=(0, 2, 3)),
            ]
        )

    hooks = [norm.register_forward_pre_hook(collect) for norm in norms]
    backbone.eval()
    with torch.no_grad():
        for batch in batches:
            backbone(batch)
    for hook in hooks:
        hook.remove()
    for norm, (count, total, squares) in sums.items():
        mean = total / count
        norm.running_mean = mean.float()
        norm.running_var = (squares / count - mean.square()).clamp_min(0).float()
