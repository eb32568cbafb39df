# SPDX-License-Identifier: Apache-2.0
"""The network with which a run begins: random, pretrained, or another run's."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from aminet_runtime.errors import ModelIncompatible, UsageError
from aminet_runtime.input_contract import NO_MARGIN_PX
from aminet_train.checkpoint import CheckpointInfo, load_info, load_weights
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.dataset import SliceDataset
from aminet_train.networks import (
    asks_for_atlas,
    backbone_of,
    before_refinement,
    build_network,
    head_of,
    takes_any_size,
)
from aminet_train.networks.atlas_head import REFINEMENT_WEIGHTS
from aminet_train.networks.efficientformerv2 import EfficientFormerV2Config
from aminet_train.networks.heads import HEADS_WITH_MAP
from aminet_train.networks.late_fusion import FUSION_WEIGHTS
from aminet_train.networks.weights import (
    has_folded_batch_norm,
    load_backbone,
    load_from_hub,
    make_room_for_neighbours,
    unfold_batch_norm,
)
from aminet_train.preprocessing import PreprocessingConfig, in_channels
from aminet_train.slice_window import SINGLE_SLICE

HUB_WEIGHTS = "imagenet"
NO_WEIGHTS = "none"
COARSEST_STRIDE = 32
"""Of the features that heads with a map lift onto finer ones, each cell onto 2 x 2."""
UNFOLD_SLICES = 256
UNFOLD_BATCH = 32


def random_network(config: TrainConfig, preprocessing: PreprocessingConfig) -> nn.Module:
    """Build the network with random weights, which are a function of the seed.

    Raises:
        UsageError: The network asks for an atlas and the data have none, or the other way round;
            or it has no features to fuse.
    """
    _require_atlas(config, preprocessing)
    _require_features_to_fuse(config)
    torch.manual_seed(config.seed)
    return build_network(
        config.network,
        in_channels=in_channels(preprocessing, config.window),
        size_px=preprocessing.size_px,
        slices=config.window.fused_slices,
    )


def starting_network(
    config: TrainConfig, preprocessing: PreprocessingConfig, training: SliceDataset
) -> nn.Module:
    """Build the network and give it its pretrained weights.

    Raises:
        ModelIncompatible: The checkpoint to start from is of another network.
        UsageError: As `random_network`, or the head's maps do not fit images of this size.
        InputInconsistent: The head's map does not fit the margin that the images leave out.
    """
    _require_whole_cells(config, preprocessing)
    if config.start_from is not None:
        network = _continued(config, preprocessing, config.start_from)
    else:
        network = random_network(config, preprocessing)
    _require_whole_margin(network, config, preprocessing)
    if config.start_from is not None or config.weights == NO_WEIGHTS:
        return network.train()
    channels = in_channels(preprocessing, config.window) - int(preprocessing.has_atlas)
    for backbone in backbone_of(network):
        if config.weights == HUB_WEIGHTS:
            load_from_hub(backbone, in_channels=channels)
        else:
            load_backbone(backbone, Path(config.weights), in_channels=channels)
        if has_folded_batch_norm(backbone):
            unfold_batch_norm(network, _some_batches(training))
    return network.train()


def _continued(
    config: TrainConfig, preprocessing: PreprocessingConfig, checkpoint: Path
) -> nn.Module:
    """Load another run's network.

    It may have seen smaller or larger images, or another part of the slice, if any size fits, or a
    slice without its neighbours, its clot map may be coarser, and it may have learned with another
    dropout.
    """
    info = load_info(checkpoint)
    if config.window.late_fusion and info.window == SINGLE_SLICE:
        info = replace(info, window=config.window)  # what it lacks is new
    if not _gains_neighbours(config, info):
        return _same_network(config, preprocessing, checkpoint, info)
    alone = replace(config, window=SINGLE_SLICE)
    single = _same_network(alone, preprocessing, checkpoint, info)
    for backbone in backbone_of(single):
        make_room_for_neighbours(backbone, window_size=config.window.size)
    network = random_network(config, preprocessing)
    network.load_state_dict(single.state_dict())
    return network


def _gains_neighbours(config: TrainConfig, before: CheckpointInfo) -> bool:
    """Tell whether the run shows slices side by side to a backbone that saw one at a time."""
    window = config.window
    side_by_side = window.size > 1 and not (window.slab or window.mirrored or window.late_fusion)
    has_backbone = head_of(config.network) is not None
    return before.window == SINGLE_SLICE and side_by_side and has_backbone


def _same_network(
    config: TrainConfig, preprocessing: PreprocessingConfig, checkpoint: Path, info: CheckpointInfo
) -> nn.Module:
    network = random_network(config, preprocessing)
    seen = info.preprocessing
    if takes_any_size(config.network):
        seen = replace(seen, size_px=preprocessing.size_px, margin_px=preprocessing.margin_px)
    theirs = before_refinement(info.network), info.window, seen
    ours = before_refinement(config.network), config.window, preprocessing
    for has, wanted in zip(theirs, ours, strict=True):
        if has != wanted:
            raise ModelIncompatible(
                f"the checkpoint is of {has}", path=checkpoint, hint=f"wanted {wanted}"
            )
    load_weights(checkpoint, network, may_lack=(REFINEMENT_WEIGHTS, FUSION_WEIGHTS))
    return network


def _require_atlas(config: TrainConfig, preprocessing: PreprocessingConfig) -> None:
    if preprocessing.has_atlas and not asks_for_atlas(config.network):
        raise UsageError(
            "the last channel of the data is the atlas, which only --head atlas looks at",
            hint="add --head atlas, or prepare other --channels",
        )
    if asks_for_atlas(config.network) and not preprocessing.has_atlas:
        raise UsageError(
            "--head atlas needs the patient's atlas as a channel",
            hint="prepare with --channels mcta+atlas or arterial+atlas",
        )


def _require_features_to_fuse(config: TrainConfig) -> None:
    if not config.window.late_fusion:
        return
    if not asks_for_atlas(config.network):
        raise UsageError("only the atlas head compares slices", hint="add --head atlas")
    if config.start_from is None:
        raise UsageError(
            "late fusion compares what a network of single slices has learned",
            hint="train one first, and name its checkpoint with --start-from",
        )


def _require_whole_cells(config: TrainConfig, preprocessing: PreprocessingConfig) -> None:
    height, width = preprocessing.size_px
    picky = _who_wants_whole_cells(config)
    if picky is not None and (height % COARSEST_STRIDE or width % COARSEST_STRIDE):
        raise UsageError(
            f"{picky} wants images whose edges are multiples of {COARSEST_STRIDE}, "
            f"not {height} x {width}",
            hint="prepare with another --size",
        )


def _require_whole_margin(
    network: nn.Module, config: TrainConfig, preprocessing: PreprocessingConfig
) -> None:
    """Refuse a margin that no export could add to the evidence, before hours of training."""
    if preprocessing.margin_px == NO_MARGIN_PX:
        return
    planes = in_channels(preprocessing, config.window)
    with torch.inference_mode():
        _logits, evidence = network.eval()(torch.zeros(1, planes, *preprocessing.size_px))
    preprocessing.cell_parts(evidence.shape[2])
    network.train()


def _who_wants_whole_cells(config: TrainConfig) -> str | None:
    head = head_of(config.network)
    if head in HEADS_WITH_MAP:
        return f"--head {head}"
    return config.approach.value if isinstance(config.network, EfficientFormerV2Config) else None


def _some_batches(training: SliceDataset) -> list[Tensor]:
    step = max(1, len(training) // UNFOLD_SLICES)
    images = [training[index].images for index in range(0, len(training), step)][:UNFOLD_SLICES]
    return list(torch.split(torch.stack(images), UNFOLD_BATCH))
