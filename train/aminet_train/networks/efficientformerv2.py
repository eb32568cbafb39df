# SPDX-License-Identifier: Apache-2.0
"""EfficientFormerV2 from timm, with one of our heads."""

from dataclasses import dataclass

import timm
from torch import Tensor, nn

from aminet_train.networks.heads import Head, answer, image_channels, make_head
from aminet_train.networks.pyramid import Maps, Widths

TIMM_NAME = "efficientformerv2_s0"
FINEST_STAGE, FINE_STAGE = 1, 2
"""The stages at strides 8 and 16; the one after them is at stride 32."""
FINEST_FEATURES, FINE_FEATURES = 48, 96


@dataclass(frozen=True, slots=True)
class EfficientFormerV2Config:
    """Attributes: `head` and `dropout` are ours."""

    head: Head = Head.GAP
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a share that cannot be meant."""
        if not 0 <= self.dropout < 1:  # nor NaN
            raise ValueError(f"dropout is 0 to 1 (1 excluded), not {self.dropout:g}")


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
            TIMM_NAME,
            pretrained=False,
            in_chans=image_channels(config.head, in_channels),
            num_classes=0,
            img_size=size_px,
        )
        widths = Widths(FINEST_FEATURES, FINE_FEATURES, self.backbone.num_features)
        self.head = make_head(config.head, widths, dropout=config.dropout)

    def forward(self, network_input: Tensor) -> tuple[Tensor, Tensor]:
        """Map input 0..1 [N, C, h, w] to logits [N, 15] and evidence [N, 15, h', w']."""
        return answer(self.head, network_input, self._features)

    def _features(self, images: Tensor) -> Maps:
        centred = images * 2.0 - 1.0  # near enough to the ImageNet mean and deviation
        maps = self.backbone.stem(centred)
        stages = []
        for stage in self.backbone.stages:
            maps = stage(maps)
            stages.append(maps)
        return Maps(stages[FINEST_STAGE], stages[FINE_STAGE], self.backbone.norm(maps))
