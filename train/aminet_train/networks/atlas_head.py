# SPDX-License-Identifier: Apache-2.0
"""A head that asks the patient's own atlas which region a place belongs to.

Two questions are apart: is there a clot here, or tissue that lacks blood? That looks alike in every
region, so all regions share one answer and learn it together. And which region is here? That is
known: the atlas is an input.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aminet_runtime.regions import REGION_COUNT
from aminet_train.networks.late_fusion import NeighbourFusion, SliceLook
from aminet_train.networks.pyramid import Maps, Widths, lift
from aminet_train.preprocessing import ATLAS_WINDOW

STEP_PX = 2
"""Every other atlas voxel is looked at: 16 of a cell at stride 8, 4 of one at stride 4."""

NO_SHARE = 1e-5
"""Stands for a region that a cell has nothing of: its logit is 11.5 below the clot's."""

COARSE_STRIDE, FINE_STRIDE = 8, 4
"""Edges that a cell of the clot map may have, in pixels of the network's input."""
REFINED_FEATURES = 32
REFINEMENT_WEIGHTS = "head.refinement."
"""Start of the names of the weights that only the finer map has."""

TISSUE_STRIDE, TISSUE_FEATURES = 32, 64
RARE_CELL_LOGIT = -6.0
"""Start at a probability of .0025 a cell: clots are rare, and so is the first loss."""


@dataclass(frozen=True, slots=True)
class AtlasHeadConfig:
    """How an atlas head is built.

    Attributes:
        width: Of the map's own features.
        map_stride: Of the clot map, 8 or 4.
        dropout: Before the classifiers.
        tissue_dropout: Share of the training slices that are answered without their tissue.
        slices: Whose features are compared for one answer: 1, or the 3 or 5 of a window.
    """

    width: int
    map_stride: int
    dropout: float
    tissue_dropout: float
    slices: int = 1


class AtlasHead(nn.Module):
    """Clot logits under the atlas, and each region's tissue beside the other side's.

    The logit of a region in a cell is the clot's logit there plus the logarithm of the region's
    share of the cell; a slice's logit is their soft maximum (logsumexp), plus what the region's
    mean features, compared with those of the mirrored region, tell of its tissue.

    Args:
        widths: Features of the backbone.
        config: How it is built.
    """

    numbers: Tensor

    def __init__(self, widths: Widths, config: AtlasHeadConfig) -> None:
        super().__init__()
        width = config.width
        self.slices, self.map_stride = config.slices, config.map_stride
        self.finest = nn.Conv2d(widths.stride_8, width, kernel_size=1)
        self.fine = nn.Conv2d(widths.stride_16, width, kernel_size=1)
        self.coarse = nn.Conv2d(widths.stride_32, width, kernel_size=1)
        self.mix_fine = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.mix_finest = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.dropout = nn.Dropout2d(config.dropout)
        self.clot = nn.Conv2d(width, 1, kernel_size=1)
        nn.init.constant_(self.clot.bias, RARE_CELL_LOGIT)  # type: ignore[arg-type]  # bias is on
        if config.map_stride == FINE_STRIDE:
            self.refinement = Refinement(widths.stride_4, width)
        if config.slices > 1:
            finer = COARSE_STRIDE // config.map_stride
            self.fusion = NeighbourFusion(width, slices=config.slices, finer=finer)
        self.share_weight = nn.Parameter(torch.ones(()))
        self.region_bias = nn.Parameter(torch.zeros(REGION_COUNT, 1, 1))
        self.tissue = TissueLook(widths.stride_32, config.dropout)
        self.drop_tissue = DropPath(config.tissue_dropout)
        numbers = torch.arange(REGION_COUNT, dtype=torch.float32).view(1, -1, 1, 1)
        self.register_buffer("numbers", numbers, persistent=False)

    def forward(self, maps: Maps, atlas: Tensor) -> tuple[Tensor, Tensor]:
        """Map features and atlas to the slice's answer.

        Args:
            maps: Of the backbone, [N * slices, ...]: the slices of a window follow each other.
            atlas: [N, 1, h, w], the region of each voxel as a share of `ATLAS_WINDOW`.

        Returns:
            Logits [N, 15] and evidence, logits of cells [N, 15, h / stride, w / stride].
        """
        if self.slices == 1:
            return self.conclude(self.look(maps, atlas))
        features, middle = self._mix(maps), self.slices // 2
        features = features.reshape(-1, self.slices, *features.shape[1:])
        alone = Maps(*(part[middle :: self.slices] for part in maps))
        return self.conclude(self._look(features[:, middle], alone, atlas), features)

    def look(self, maps: Maps, atlas: Tensor) -> SliceLook:
        """See slices alone: maps of the backbone [N, ...], atlas [N, 1, h, w]."""
        return self._look(self._mix(maps), maps, atlas)

    def conclude(self, look: SliceLook, features: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Answer for slices, as `forward` does.

        Args:
            look: At each slice.
            features: [N, slices, F, h / 8, w / 8] of its window; none where slices are alone.
        """
        clot = look.clot if features is None else look.clot + self.fusion(features)
        share = self.share_weight * torch.log(look.shares.clamp_min(NO_SHARE))
        evidence: Tensor = clot + self.region_bias + share
        return torch.logsumexp(evidence, dim=(2, 3)) + self.drop_tissue(look.tissue), evidence

    def _mix(self, maps: Maps) -> Tensor:
        mixed = lift(self.coarse(maps.stride_32), self.fine(maps.stride_16), self.mix_fine)
        return lift(mixed, self.finest(maps.stride_8), self.mix_finest)

    def _look(self, mixed: Tensor, maps: Maps, atlas: Tensor) -> SliceLook:
        clot = self.clot(self.dropout(mixed))  # (N, 1, h / 8, w / 8)
        if self.map_stride == FINE_STRIDE:
            clot = self.refinement(clot, mixed, maps.stride_4)
        shares = self._shares(atlas)
        tissue = self.tissue(maps.stride_32, self._coarse_shares(shares))
        return SliceLook(mixed, clot, tissue, shares)

    def set_mirror(self, mirror: Sequence[int] | None) -> None:
        """Say which region lies on the other side of each; at first that is each itself."""
        if mirror is not None:
            self.tissue.mirror.copy_(torch.tensor(mirror))

    def _shares(self, atlas: Tensor) -> Tensor:
        """Return each region's share of each cell of the map, [N, 15, h', w'] in 0..1."""
        voxels = atlas[:, :, ::STEP_PX, ::STEP_PX] * ATLAS_WINDOW[1]
        # nearer than half a region, for a share of the window is rounded
        is_region = ((voxels - self.numbers).abs() < 0.5).to(atlas.dtype)
        return F.avg_pool2d(is_region, self.map_stride // STEP_PX)

    def _coarse_shares(self, shares: Tensor) -> Tensor:
        return F.avg_pool2d(shares, TISSUE_STRIDE // self.map_stride)


class Refinement(nn.Module):
    """Says which quarter of a cell at stride 8 holds the clot, from finer features.

    A cell at stride 8 is 10 mm wide where a head fills 192 pixels, and more than one region lies
    in it at every border. At first all four quarters get the cell's own logit, so that a network
    may learn the coarse map first and go on from there.
    """

    def __init__(self, finest: int, width: int) -> None:
        super().__init__()
        self.finest = nn.Conv2d(finest, REFINED_FEATURES, kernel_size=1)
        self.mixed = nn.Conv2d(width, REFINED_FEATURES, kernel_size=1)
        self.mix = nn.Conv2d(REFINED_FEATURES, REFINED_FEATURES, kernel_size=3, padding=1)
        self.clot = nn.Conv2d(REFINED_FEATURES, 1, kernel_size=1)
        for start in self.clot.parameters():
            nn.init.zeros_(start)

    def forward(self, clot: Tensor, mixed: Tensor, finest: Tensor) -> Tensor:
        """Map logits [N, 1, h, w] and features [N, F, h, w] to logits [N, 1, 2 h, 2 w].

        The features at half the stride are [N, F, 2 h, 2 w].
        """
        quarters = F.interpolate(clot, scale_factor=2.0, mode="nearest") - math.log(4)
        features = lift(self.mixed(mixed), self.finest(finest), self.mix)
        refined: Tensor = quarters + self.clot(features)
        return refined


class DropPath(nn.Module):
    """Leaves a summand out for some training slices, and weighs it by the others' share afterwards.

    So that what is left learns to answer alone. Source: Huang et al., Deep networks with stochastic
    depth, ECCV 2016.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits [N, 15] to logits [N, 15]."""
        if not self.training:
            return logits * (1 - self.share)
        is_kept = torch.rand(len(logits), 1) >= self.share
        return logits * is_kept.to(logits.dtype)


class TissueLook(nn.Module):
    """What a region's mean features tell of it, beside those of the region on the other side.

    Tissue behind a clot fills late and little over a territory, far from the clot's slice, and the
    other side shows what it would look like. All regions share the weights, but for a bias.
    """

    mirror: Tensor

    def __init__(self, coarse: int, dropout: float) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(coarse, TISSUE_FEATURES, kernel_size=1)
        self.compare = nn.Linear(3 * TISSUE_FEATURES, TISSUE_FEATURES)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(TISSUE_FEATURES, 1)
        self.region_bias = nn.Parameter(torch.zeros(REGION_COUNT))
        for start in (self.classifier.weight, self.classifier.bias):
            nn.init.zeros_(start)  # the first answers are the clot's alone
        self.register_buffer("mirror", torch.arange(REGION_COUNT))

    def forward(self, coarse: Tensor, shares: Tensor) -> Tensor:
        """Map features [N, F, h, w] and each region's share of their cells to logits [N, 15].

        The shares are [N, 15, h, w]. A region that the slice has nothing of gets 0.
        """
        features = F.relu6(self.reduce(coarse)).flatten(2)  # (N, T, cells)
        weights = shares.flatten(2)  # (N, 15, cells)
        area = weights.sum(dim=2)
        means = weights @ features.transpose(1, 2) / (area.unsqueeze(2) + _LEAST_AREA)
        other = means[:, self.mirror]
        compared = F.relu(self.compare(torch.cat([means, other, means - other], dim=2)))
        logits: Tensor = self.classifier(self.dropout(compared)).squeeze(2) + self.region_bias
        return logits * (area > 0).to(logits.dtype)


_LEAST_AREA = 1e-3
"""In cells at stride 32: keeps the mean of an absent region finite."""
