# SPDX-License-Identifier: Apache-2.0
"""EfficientFormerV2 from timm, with one of our heads."""

from dataclasses import dataclass

import timm
from torch import Tensor, nn

from aminet_train.networks.heads import HeadConfig, answer, image_channels, look, make_head
from aminet_train.networks.late_fusion import SliceLook
from aminet_train.networks.pyramid import Maps, Widths

TIMM_NAME = "efficientformerv2_s0"
STAGES, FEATURES = (0, 1, 2), (32, 48, 96)
"""Those at strides 4, 8 and 16, and their features; the one after them is at stride 32."""


@dataclass(frozen=True, slots=True)
class EfficientFormerV2Config(HeadConfig):
    """Attributes: those of `HeadConfig`."""


class EfficientFormerV2(nn.Module):
    """timm's `efficientformerv2_s0` behind our contract: input 0..1, logits and evidence out.

    Its attention biases have one entry for each pair of places on the map, so it is built for one
    input size and takes no other.
    """

    def __init__(
        self,
        in_channels: int,
        size_px: tuple[int, int],
        config: EfficientFormerV2Config,
        *,
        slices: int = 1,
    ) -> None:
        super().__init__()
        self.backbone = timm.create_model(
            TIMM_NAME,
            pretrained=False,
            in_chans=image_channels(config.head, in_channels, slices=slices),
            num_classes=0,
            img_size=size_px,
        )
        self.head = make_head(config, Widths(*FEATURES, self.backbone.num_features), slices=slices)

    def forward(self, network_input: Tensor) -> tuple[Tensor, Tensor]:
        """Map input 0..1 [N, C, h, w] to logits [N, 15] and evidence [N, 15, h', w']."""
        return answer(self.head, network_input, self._features)

    def look(self, slices: Tensor) -> SliceLook:
        """See slices alone, [N, V, h, w] in 0..1 with the atlas last; with the atlas head."""
        return look(self.head, slices, self._features)

    def _features(self, images: Tensor) -> Maps:
        centred = images * 2.0 - 1.0  # near enough to the ImageNet mean and deviation
        maps = self.backbone.stem(centred)
        stages = []
        for stage in self.backbone.stages:
            maps = stage(maps)
            stages.append(maps)
        quarter, eighth, sixteenth = (stages[number] for number in STAGES)
        return Maps(quarter, eighth, sixteenth, self.backbone.norm(maps))
