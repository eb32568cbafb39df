# SPDX-License-Identifier: Apache-2.0
"""Slices that are looked at one by one, and compared by their features.

A vessel that is not there looks alike with and without a clot. Where it is there again some
millimetres above and below, it is a gap. The first convolution of a network is too narrow to carry
three slices at once (docs/experiments.md 28); their features, made by the same weights, tell.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FUSED_FEATURES = 32
FUSION_WEIGHTS = "head.fusion."
"""Start of the names of the weights that only a network with late fusion has."""


class SliceLook(NamedTuple):
    """What a head has seen of each slice alone.

    Attributes:
        features: [N, F, h / 8, w / 8], what neighbours are compared by.
        clot: [N, 1, h / stride, w / stride], logits of the clot map.
        tissue: [N, 15], logits of the tissue's part.
        shares: [N, 15, h / stride, w / stride], each region's share of each cell, 0..1.
    """

    features: Tensor
    clot: Tensor
    tissue: Tensor
    shares: Tensor

    def pack(self) -> Tensor:
        """Return it as one row a slice, [N, L], which `LookLayout.unpack` takes apart."""
        return torch.cat([part.flatten(1) for part in self], dim=1)


class LookLayout(NamedTuple):
    """The shapes of one slice's look, without the first axis."""

    features: torch.Size
    clot: torch.Size
    tissue: torch.Size
    shares: torch.Size

    @classmethod
    def of(cls, look: SliceLook) -> "LookLayout":
        """Take the shapes of a look."""
        return cls(*(part.shape[1:] for part in look))

    @property
    def length(self) -> int:
        """L, the number of values of one slice."""
        return sum(shape.numel() for shape in self)

    def unpack(self, rows: Tensor) -> SliceLook:
        """Take rows [N, L] apart."""
        parts = torch.split(rows, [shape.numel() for shape in self], dim=1)
        return SliceLook(*(p.reshape(-1, *s) for p, s in zip(parts, self, strict=True)))


class NeighbourFusion(nn.Module):
    """Corrects the clot map of a slice by the features of the slices around it.

    Which neighbour lies above and which below makes no difference, bit by bit: slices may be stored
    in either direction. At first the correction is nothing, so that a network of single slices goes
    on from what it knows.

    Args:
        width: Features of each slice.
        slices: In the window, 3 or 5.
        finer: Edge of a cell of the features, in cells of the clot map.
    """

    def __init__(self, width: int, *, slices: int, finer: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(width * slices, FUSED_FEATURES, kernel_size=1)
        self.mix = nn.ModuleList(
            nn.Conv2d(FUSED_FEATURES, FUSED_FEATURES, kernel_size=3, padding=1) for _ in range(2)
        )
        self.clot = nn.Conv2d(FUSED_FEATURES, finer**2, kernel_size=1)
        for start in self.clot.parameters():
            nn.init.zeros_(start)
        self._finer = finer

    def forward(self, features: Tensor) -> Tensor:
        """Map features [N, slices, F, h, w], low to high, to logits [N, 1, finer h, finer w]."""
        middle = features.shape[1] // 2
        compared = [features[:, middle]]
        for low in range(middle):
            below, above = features[:, low], features[:, -1 - low]
            compared += [below + above, (below - above).abs()]
        mixed = F.relu(self.reduce(torch.cat(compared, dim=1)))
        for convolution in self.mix:
            mixed = F.relu(convolution(mixed))
        return F.pixel_shuffle(self.clot(mixed), self._finer)
