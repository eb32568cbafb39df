# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 from timm, with one of our heads."""

from dataclasses import dataclass
from enum import StrEnum

import timm
from torch import Tensor, nn

from aminet_train.networks.heads import Head, apply_head, make_head

TIMM_NAME = "mobilenetv2_100"
FINE_STAGE = 4
"""The last stage at stride 16 (96 channels); the stages after it are at stride 32."""
FINE_FEATURES = 96


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


class MobileNetV2(nn.Module):
    """timm's `mobilenetv2_100` behind our contract: input 0..1, logits and evidence out."""

    def __init__(self, in_channels: int, config: MobileNetV2Config) -> None:
        super().__init__()
        self.backbone = timm.create_model(
            TIMM_NAME,
            pretrained=False,
            in_chans=in_channels,
            num_classes=0,
            pad_type=_TIMM_PADDING[config.padding],
        )
        self.head = make_head(
            config.head,
            fine=FINE_FEATURES,
            coarse=self.backbone.num_features,
            dropout=config.dropout,
        )

    def forward(self, network_input: Tensor) -> tuple[Tensor, Tensor]:
        """Map input 0..1 [N, C, h, w] to logits [N, 15] and evidence [N, 15, h', w']."""
        centred = network_input * 2.0 - 1.0  # the ImageNet weights expect -1..1
        maps = self.backbone.bn1(self.backbone.conv_stem(centred))
        fine = maps
        for number, stage in enumerate(self.backbone.blocks):
            maps = stage(maps)
            if number == FINE_STAGE:
                fine = maps
        coarse = self.backbone.bn2(self.backbone.conv_head(maps))
        return apply_head(self.head, fine, coarse)
