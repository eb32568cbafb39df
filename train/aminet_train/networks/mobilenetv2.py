# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 from timm, with one of our heads."""

from dataclasses import dataclass
from enum import StrEnum

import timm
from torch import Tensor, nn

from aminet_train.networks.heads import Head, answer, image_channels, make_head
from aminet_train.networks.pyramid import Maps, Widths

TIMM_NAME = "mobilenetv2_100"
FINEST_STAGE, FINE_STAGE = 2, 4
"""The last stages at strides 8 and 16; those after them are at stride 32."""
FINEST_FEATURES, FINE_FEATURES = 32, 96


class Padding(StrEnum):
    """How convolutions pad: it belongs to the weights."""

    SYMMETRIC = "symmetric"
    """PyTorch's way, for timm's own weights."""

    SAME = "same"
    """TensorFlow's way, for weights that were converted from there."""


_TIMM_PADDING = {Padding.SYMMETRIC: "", Padding.SAME: "same"}


@dataclass(frozen=True, slots=True)
class MobileNetV2Config:
    """Attributes: `head` and `dropout` are ours; `padding` must fit the weights."""

    head: Head = Head.GAP
    dropout: float = 0.2
    padding: Padding = Padding.SYMMETRIC

    def __post_init__(self) -> None:
        """Refuse a share that cannot be meant."""
        if not 0 <= self.dropout < 1:  # nor NaN
            raise ValueError(f"dropout is 0 to 1 (1 excluded), not {self.dropout:g}")


class MobileNetV2(nn.Module):
    """timm's `mobilenetv2_100` behind our contract: input 0..1, logits and evidence out."""

    def __init__(self, in_channels: int, config: MobileNetV2Config) -> None:
        super().__init__()
        self.backbone = timm.create_model(
            TIMM_NAME,
            pretrained=False,
            in_chans=image_channels(config.head, in_channels),
            num_classes=0,
            pad_type=_TIMM_PADDING[config.padding],
        )
        widths = Widths(FINEST_FEATURES, FINE_FEATURES, self.backbone.num_features)
        self.head = make_head(config.head, widths, dropout=config.dropout)

    def forward(self, network_input: Tensor) -> tuple[Tensor, Tensor]:
        """Map input 0..1 [N, C, h, w] to logits [N, 15] and evidence [N, 15, h', w']."""
        return answer(self.head, network_input, self._features)

    def _features(self, images: Tensor) -> Maps:
        maps = self.backbone.bn1(self.backbone.conv_stem(images * 2.0 - 1.0))  # ImageNet: -1..1
        stages = []
        for stage in self.backbone.blocks:
            maps = stage(maps)
            stages.append(maps)
        coarse = self.backbone.bn2(self.backbone.conv_head(maps))
        return Maps(stages[FINEST_STAGE], stages[FINE_STAGE], coarse)
