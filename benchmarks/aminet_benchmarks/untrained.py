# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of networks that were never trained: as fast and as large as trained ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from aminet_runtime.regions import REGION_COUNT, Regions
from aminet_train.checkpoint import CheckpointInfo, save_checkpoint
from aminet_train.networks import Approach, build_network, config_from_json
from aminet_train.preprocessing import PreprocessingConfig, in_channels
from aminet_train.thresholds import ChosenRule

THRESHOLD = 0.5
WEIGHT_SEED = 0


@dataclass(frozen=True, slots=True)
class UntrainedPlan:
    """What to build.

    Attributes:
        approach: One that has a network.
        preprocessing: Channels, window and size of the network's input.
        regions: Their names.
        settings: Of the network, such as `{"head": "dense"}`; defaults where left out.
    """

    approach: Approach
    preprocessing: PreprocessingConfig
    regions: Regions = field(default_factory=Regions.numbered)
    settings: Mapping[str, str | int] = field(default_factory=dict)


def write_untrained_checkpoint(
    plan: UntrainedPlan, folder: Path, *, norm_images: Tensor | None = None
) -> None:
    """Write a checkpoint with random weights.

    Args:
        plan: What to build.
        folder: Where to.
        norm_images: [N, in_channels, h, w] in 0..1 that batch norm measures itself on. Without,
            values fade from layer to layer, which changes nothing about time in float.
    """
    torch.manual_seed(WEIGHT_SEED)
    config = config_from_json(plan.approach, dict(plan.settings))
    network = build_network(
        config, in_channels=in_channels(plan.preprocessing), size_px=plan.preprocessing.size_px
    )
    if norm_images is not None:
        _measure_norms(network, norm_images)
    rule = ChosenRule((THRESHOLD,) * REGION_COUNT, THRESHOLD, 1)
    info = CheckpointInfo(plan.approach, config, plan.preprocessing, plan.regions, rule, {})
    save_checkpoint(folder, network.eval(), info)


def _measure_norms(network: nn.Module, images: Tensor) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all that is shown, not a sliding one
    with torch.no_grad():
        network.train()(images)
