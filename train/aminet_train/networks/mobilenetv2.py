# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 from timm, with one of our heads."""

from dataclasses import dataclass
from enum import StrEnum

import timm
from torch import Tensor, nn

from aminet_train.networks.heads import HeadConfig, answer, image_channels, look, make_head
from aminet_train.networks.late_fusion import SliceLook
from aminet_train.networks.pyramid import Maps, Widths

TIMM_NAME = "mobilenetv2_100"
STAGES, FEATURES = (1, 2, 4), (24, 32, 96)
"""The last ones at strides 4, 8 and 16, and their features; later stages are at stride 32."""


class Padding(StrEnum):
    """How convolutions pad: it belongs to the weights."""

    SYMMETRIC = "symmetric"
    """PyTorch's way, for timm's own weights."""

    SAME = "same"
    """TensorFlow's way, for weights that were converted from there."""


_TIMM_PADDING = {Padding.SYMMETRIC: "", Padding.SAME: "same"}


@dataclass(frozen=True, slots=True)
class MobileNetV2Config(HeadConfig):
    """Attributes: `padding` must fit the weights; the others are those of `HeadConfig`."""

    padding: Padding = Padding.SYMMETRIC


class MobileNetV2(nn.Module):
    """timm's `mobilenetv2_100` behind our contract: input 0..1, logits and evidence out."""

    def __init__(self, in_channels: int, config: MobileNetV2Config, *, slices: int = 1) -> None:
        super().__init__()
        self.backbone = timm.create_model(
            TIMM_NAME,
            pretrained=False,
            in_chans=image_channels(config.head, in_channels, slices=slices),
            num_classes=0,
            pad_type=_TIMM_PADDING[config.padding],
        )
        self.head = make_head(config, Widths(*FEATURES, self.backbone.num_features), slices=slices)

    def forward(self, network_input: Tensor) -> tuple[Tensor, Tensor]:
        """Map input 0..1 [N, C, h, w] to logits [N, 15] and evidence [N, 15, h', w']."""
        return answer(self.head, network_input, self._features)

    def look(self, slices: Tensor) -> SliceLook:
        """See slices alone, [N, V, h, w] in 0..1 with the atlas last; with the atlas head."""
        return look(self.head, slices, self._features)

    def _features(self, images: Tensor) -> Maps:
        maps = self.backbone.bn1(self.backbone.conv_stem(images * 2.0 - 1.0))  # ImageNet: -1..1
        stages = []
        for stage in self.backbone.blocks:
            maps = stage(maps)
            stages.append(maps)
        coarse = self.backbone.bn2(self.backbone.conv_head(maps))
        quarter, eighth, sixteenth = (stages[number] for number in STAGES)
        return Maps(quarter, eighth, sixteenth, coarse)
