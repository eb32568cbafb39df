# SPDX-License-Identifier: Apache-2.0
"""EfficientFormerV2 from timm, with one of our heads."""

from dataclasses import dataclass

import timm
from torch import Tensor, nn

from aminet_train.networks.heads import Head, apply_head, make_head

TIMM_NAME = "efficientformerv2_s0"
FINE_STAGE = 2
"""The last stage at stride 16 (96 channels); the stage after it is at stride 32."""
FINE_FEATURES = 96


@dataclass(frozen=True, slots=True)
class EfficientFormerV2Config:
    """Attributes: `head` and `dropout` are ours."""

    head: Head = Head.GAP
    dropout: float = 0.2


class EfficientFormerV2(nn.Module):
    """timm's `efficientformerv2_s0` behind our contract: input 0..1, logits and evidence out.

    Its attention biases have one entry for each pair of places on the map, so it is built for one
    input size and takes no other.
    """

    def __init__(
        self, in_channels: int, size_px: tuple[int, int], config: EfficientFormerV2Config
    ) -> None:
        super().__init__()
        self.backbone = timm.create_model(
            TIMM_NAME, pretrained=False, in_chans=in_channels, num_classes=0, img_size=size_px
        )
        self.head = make_head(
            config.head,
            fine=FINE_FEATURES,
            coarse=self.backbone.num_features,
            dropout=config.dropout,
        )

    def forward(self, network_input: Tensor) -> tuple[Tensor, Tensor]:
        """Map input 0..1 [N, C, h, w] to logits [N, 15] and evidence [N, 15, h', w']."""
        centred = network_input * 2.0 - 1.0  # near enough to the ImageNet mean and deviation
        maps = self.backbone.stem(centred)
        fine = maps
        for number, stage in enumerate(self.backbone.stages):
            maps = stage(maps)
            if number == FINE_STAGE:
                fine = maps
        coarse = self.backbone.norm(maps)
        return apply_head(self.head, fine, coarse)
