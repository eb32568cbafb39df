# SPDX-License-Identifier: Apache-2.0
"""From feature maps to logits and evidence: the part that all networks share.

Evidence is a map of logits per region; the slice's logit is pooled from it, so that the map shows
what the answer was made of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aminet_runtime.regions import REGION_COUNT
from aminet_train.networks.atlas_head import (
    COARSE_STRIDE,
    FINE_STRIDE,
    AtlasHead,
    AtlasHeadConfig,
)
from aminet_train.networks.late_fusion import SliceLook
from aminet_train.networks.pyramid import Maps, Widths, lift


class Head(StrEnum):
    """How features become a slice's answer."""

    GAP = "gap"
    """Mean over the map: global average pooling and a dense layer, the evidence is its CAM."""

    DENSE = "dense"
    """Soft maximum over a map at stride 16, which may also learn from clot masks."""

    TERRITORY = "territory"
    """The same, plus what the tissue of the whole slice tells of the patient's regions."""

    ATLAS = "atlas"
    """Clot and tissue in the regions of the patient's own atlas, which is an input."""


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """What the heads ask for.

    Attributes:
        head: Which one.
        dropout: Before the classifiers, 0 to 1.
        map_stride: Of the clot map of the atlas head, 8 or 4 pixels of the network's input.
        tissue_dropout: Share of the training slices that the atlas head answers without their
            tissue, 0 to 1.
    """

    head: Head = Head.GAP
    dropout: float = 0.2
    map_stride: int = COARSE_STRIDE
    tissue_dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a share that cannot be meant, and a map that there is not."""
        for name in ("dropout", "tissue_dropout"):
            share = getattr(self, name)
            if not 0 <= share < 1:  # nor NaN
                raise ValueError(f"{name} is 0 to 1 (1 excluded), not {share:g}")
        if self.map_stride not in (COARSE_STRIDE, FINE_STRIDE):
            raise ValueError(f"map_stride is 8 or 4, not {self.map_stride}")
        is_plain = (self.map_stride, self.tissue_dropout) == (COARSE_STRIDE, 0.0)
        if self.head is not Head.ATLAS and not is_plain:
            raise ValueError("map_stride and tissue_dropout are of the atlas head")


HEADS_WITH_MAP = frozenset({Head.DENSE, Head.TERRITORY, Head.ATLAS})
"""Those that can learn from clot masks."""


class GapHead(nn.Module):
    """Global average pooling and one dense layer, written as a 1x1 convolution.

    Mean and dense layer commute, so this is the usual classifier and its class-activation map at
    once.
    Source: Zhou et al., Learning deep features for discriminative localization, CVPR 2016.
    """

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(features, REGION_COUNT, kernel_size=1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features [N, F, h, w] to logits [N, 15] and evidence [N, 15, h, w]."""
        evidence: Tensor = self.classifier(self.dropout(features))
        return evidence.mean(dim=(2, 3)), evidence


class DenseHead(nn.Module):
    """A map at stride 16 from two depths of features, pooled by a soft maximum.

    A clot covers a cell or two of the map; a mean would drown it. The soft maximum (logsumexp) of
    the cells' logits is close to the logit of "at least one cell".
    """

    def __init__(self, fine: int, coarse: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.fine = nn.Conv2d(fine, width, kernel_size=1)
        self.coarse = nn.Conv2d(coarse, width, kernel_size=1)
        self.mix = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, REGION_COUNT, kernel_size=1)
        nn.init.constant_(self.classifier.bias, _RARE_LOGIT)  # type: ignore[arg-type]  # bias is on

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Map features at strides 16 and 32 to logits [N, 15] and evidence [N, 15, h, w]."""
        mixed = lift(self.coarse(coarse), self.fine(fine), self.mix)
        evidence: Tensor = self.classifier(self.dropout(mixed))
        return torch.logsumexp(evidence, dim=(2, 3)), evidence


class TerritoryHead(nn.Module):
    """A dense head for the clot itself, and beside it a look at the tissue of the whole slice.

    Tissue behind a clot fills late and little over a territory, far from the clot's slice. That
    shows in coarse features and where they lie, which a maximum over places cannot tell; so a
    slice's logit is the sum of both. The evidence is the dense head's.
    """

    def __init__(self, fine: int, coarse: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = DenseHead(fine, coarse, width=width, dropout=dropout)
        self.reduce = nn.Conv2d(coarse, TISSUE_FEATURES, kernel_size=1)
        self.dropout = nn.Dropout(dropout)
        self.tissue = nn.Linear(TISSUE_FEATURES * TISSUE_CELLS**2, REGION_COUNT)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Map features at strides 16 and 32 to logits [N, 15] and evidence [N, 15, h, w]."""
        logits, evidence = self.dense(fine, coarse)
        cells = F.adaptive_avg_pool2d(F.relu6(self.reduce(coarse)), TISSUE_CELLS)
        return logits + self.tissue(self.dropout(cells.flatten(1))), evidence


TISSUE_FEATURES = 64
TISSUE_CELLS = 4  # along each edge, about 55 mm wide: less than a territory

_RARE_LOGIT = -8.0
"""Start at a probability of .0003 a cell, .06 a slice: clots are rare, and so is the first loss."""

DENSE_WIDTH = 128
ATLAS_WIDTH = 64


AnyHead = GapHead | DenseHead | TerritoryHead | AtlasHead


def image_channels(head: Head, in_channels: int, *, slices: int = 1) -> int:
    """Return how many channels the backbone sees: all but the atlas, of one slice."""
    return (in_channels - 1) // slices if head is Head.ATLAS else in_channels


def make_head(config: HeadConfig, widths: Widths, *, slices: int = 1) -> AnyHead:
    """Build the head of a backbone with some features.

    Args:
        config: Which one.
        widths: Of the backbone.
        slices: Whose features are compared for one answer; more than 1 with the atlas head alone.
    """
    head, dropout = config.head, config.dropout
    fine, coarse = widths.stride_16, widths.stride_32
    if head is Head.GAP:
        return GapHead(coarse, dropout)
    if head is Head.TERRITORY:
        return TerritoryHead(fine, coarse, width=DENSE_WIDTH, dropout=dropout)
    if head is Head.ATLAS:
        built = AtlasHeadConfig(
            ATLAS_WIDTH, config.map_stride, dropout, config.tissue_dropout, slices
        )
        return AtlasHead(widths, built)
    return DenseHead(fine, coarse, width=DENSE_WIDTH, dropout=dropout)


def answer(
    head: AnyHead, network_input: Tensor, features: Callable[[Tensor], Maps]
) -> tuple[Tensor, Tensor]:
    """Let the backbone see the images, and the head what it asks for.

    Args:
        head: Of the network.
        network_input: [N, C, h, w] in 0..1; the last channel is the atlas, if the head asks for it.
            Slices whose features are compared stand side by side, low to high, for each view.
        features: The backbone.

    Returns:
        Logits [N, 15] and evidence [N, 15, h', w'].
    """
    if isinstance(head, AtlasHead):
        images, atlas = network_input[:, :-1], network_input[:, -1:]
        return head(features(_one_by_one(images, head.slices)), atlas)  # type: ignore[no-any-return]  # nn.Module is untyped
    maps = features(network_input)
    if isinstance(head, GapHead):
        return head(maps.stride_32)  # type: ignore[no-any-return]
    return head(maps.stride_16, maps.stride_32)  # type: ignore[no-any-return]


def look(head: AnyHead, slices: Tensor, features: Callable[[Tensor], Maps]) -> SliceLook:
    """Let a backbone and its atlas head see slices alone, whatever window they are in later.

    Args:
        head: Of the network.
        slices: [N, C, h, w] in 0..1; the last channel is the atlas.
        features: The backbone.
    """
    if not isinstance(head, AtlasHead):
        raise TypeError("only the atlas head compares slices")
    return head.look(features(slices[:, :-1]), slices[:, -1:])


def _one_by_one(images: Tensor, slices: int) -> Tensor:
    """Turn windows [N, views * slices, h, w] into slices [N * slices, views, h, w]."""
    if slices == 1:
        return images
    count, channels, height, width = images.shape
    apart = images.reshape(count, channels // slices, slices, height, width)
    return apart.transpose(1, 2).flatten(0, 1)
