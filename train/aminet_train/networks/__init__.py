# SPDX-License-Identifier: Apache-2.0
"""The networks: input 0..1 [N, C, h, w] in, logits [N, 15] and evidence [N, 15, h', w'] out."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any

from torch import nn

from aminet_train.networks.atlas_head import COARSE_STRIDE, AtlasHead
from aminet_train.networks.efficientformerv2 import EfficientFormerV2, EfficientFormerV2Config
from aminet_train.networks.heads import Head, HeadConfig
from aminet_train.networks.mobilenetv2 import MobileNetV2, MobileNetV2Config
from aminet_train.networks.simple_cnn import SimpleCnn, SimpleCnnConfig
from aminet_train.networks.spiral import SpiralConfig, SpiralMaximum


class Approach(StrEnum):
    """The approaches that this version trains."""

    SIMPLE_CNN = "simple_cnn"
    MOBILENETV2 = "mobilenetv2"
    EFFICIENTFORMERV2 = "efficientformerv2"
    SPIRAL = "spiral"


NetworkConfig = SimpleCnnConfig | MobileNetV2Config | EfficientFormerV2Config | SpiralConfig

CONFIG_TYPES: dict[Approach, type[NetworkConfig]] = {
    Approach.SIMPLE_CNN: SimpleCnnConfig,
    Approach.MOBILENETV2: MobileNetV2Config,
    Approach.EFFICIENTFORMERV2: EfficientFormerV2Config,
    Approach.SPIRAL: SpiralConfig,
}


def config_from_json(approach: Approach, values: Mapping[str, Any]) -> NetworkConfig:
    """Read the network's part of a checkpoint back into its config.

    Raises:
        TypeError: A key is unknown.
        ValueError: A choice is unknown.
    """
    kind = CONFIG_TYPES[approach]
    choices = {f.name: type(f.default) for f in fields(kind) if isinstance(f.default, StrEnum)}
    arguments: dict[str, Any] = {
        name: choices[name](value) if name in choices else value for name, value in values.items()
    }
    return kind(**arguments)


def build_network(
    config: NetworkConfig, *, in_channels: int, size_px: tuple[int, int], slices: int = 1
) -> nn.Module:
    """Build a network with random weights.

    Args:
        config: Its type names the network.
        in_channels: C of the input.
        size_px: Height and width of the input.
        slices: Whose features are compared for one answer; more than 1 with the atlas head alone.
    """
    if isinstance(config, SpiralConfig):
        return SpiralMaximum(config)
    if isinstance(config, SimpleCnnConfig):
        return SimpleCnn(in_channels, size_px, config)
    if isinstance(config, EfficientFormerV2Config):
        return EfficientFormerV2(in_channels, size_px, config, slices=slices)
    return MobileNetV2(in_channels, config, slices=slices)


def backbone_of(network: nn.Module) -> list[nn.Module]:
    """Return the pretrained part of a network; a network without one has none."""
    return [network.backbone] if isinstance(network, MobileNetV2 | EfficientFormerV2) else []


def settled_parts(network: nn.Module) -> list[nn.Module]:
    """Return what has learned before: it learns more slowly, and not at all in frozen epochs.

    That is the backbone; with late fusion it is all that looks at single slices.
    """
    backbone, head = backbone_of(network), getattr(network, "head", None)
    if not isinstance(head, AtlasHead) or head.slices == 1:
        return backbone
    return [*backbone, *(part for part in head.children() if part is not head.fusion)]


def head_of(config: NetworkConfig) -> Head | None:
    """Return a network's head; None if it has none to choose."""
    return config.head if isinstance(config, HeadConfig) else None


def asks_for_atlas(config: NetworkConfig) -> bool:
    """Tell whether the last channel of the network's input must be the patient's atlas."""
    return head_of(config) is Head.ATLAS


def learn_mirror(network: nn.Module, mirror: Sequence[int] | None) -> None:
    """Tell a network which region lies on the other side of each, if it asks."""
    for module in network.modules():
        if isinstance(module, AtlasHead):
            module.set_mirror(mirror)


def without_dropout(config: NetworkConfig) -> NetworkConfig:
    """Return the network that has the same weights and drops none of its features."""
    if isinstance(config, SpiralConfig):
        return config
    return replace(config, dropout=0.0)


def before_refinement(config: NetworkConfig) -> NetworkConfig:
    """Return the network whose weights a run may go on from: a coarse map, whatever the dropout."""
    bare = without_dropout(config)
    if not isinstance(bare, HeadConfig):
        return bare
    return replace(bare, map_stride=COARSE_STRIDE, tissue_dropout=0.0)


def takes_any_size(config: NetworkConfig) -> bool:
    """Tell whether a network only convolves and pools, so that its weights fit every size."""
    return isinstance(config, MobileNetV2Config | SpiralConfig)
