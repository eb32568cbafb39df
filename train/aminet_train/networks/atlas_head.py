# SPDX-License-Identifier: Apache-2.0
"""A head that asks the patient's own atlas which region a place belongs to.

Two questions are apart: is there a clot here, or tissue that lacks blood? That looks alike in every
region, so all regions share one answer and learn it together. And which region is here? That is
known: the atlas is an input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aminet_runtime.regions import REGION_COUNT
from aminet_train.networks.pyramid import lift
from aminet_train.preprocessing import ATLAS_WINDOW

SAMPLES = 4
"""Atlas voxels along each edge of a cell of the map; the map is at stride 8, so every other one."""
STEP_PX = 2

NO_SHARE = 1e-5
"""Stands for a region that a cell has nothing of: its logit is 11.5 below the clot's."""

TISSUE_FEATURES = 64
RARE_CELL_LOGIT = -6.0
"""Start at a probability of .0025 a cell: clots are rare, and so is the first loss."""


class AtlasHead(nn.Module):
    """Clot logits at stride 8 under the atlas, and each region's tissue beside the other side's.

    The logit of a region in a cell is the clot's logit there plus the logarithm of the region's
    share of the cell; a slice's logit is their soft maximum (logsumexp), plus what the region's
    mean features, compared with those of the mirrored region, tell of its tissue.

    Args:
        finest: Features at stride 8.
        fine: Features at stride 16.
        coarse: Features at stride 32.
        width: Of the map's own features.
        dropout: Before the classifiers.
    """

    numbers: Tensor

    def __init__(self, finest: int, fine: int, coarse: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.finest = nn.Conv2d(finest, width, kernel_size=1)
        self.fine = nn.Conv2d(fine, width, kernel_size=1)
        self.coarse = nn.Conv2d(coarse, width, kernel_size=1)
        self.mix_fine = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.mix_finest = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.dropout = nn.Dropout2d(dropout)
        self.clot = nn.Conv2d(width, 1, kernel_size=1)
        nn.init.constant_(self.clot.bias, RARE_CELL_LOGIT)  # type: ignore[arg-type]  # bias is on
        self.share_weight = nn.Parameter(torch.ones(()))
        self.region_bias = nn.Parameter(torch.zeros(REGION_COUNT, 1, 1))
        self.tissue = TissueLook(coarse, dropout)
        numbers = torch.arange(REGION_COUNT, dtype=torch.float32).view(1, -1, 1, 1)
        self.register_buffer("numbers", numbers, persistent=False)

    def forward(
        self, finest: Tensor, fine: Tensor, coarse: Tensor, atlas: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Map features and atlas to the slice's answer.

        Args:
            finest: [N, F, h / 8, w / 8].
            fine: [N, F, h / 16, w / 16].
            coarse: [N, F, h / 32, w / 32].
            atlas: [N, 1, h, w], the region of each voxel as a share of `ATLAS_WINDOW`.

        Returns:
            Logits [N, 15] and evidence, logits of cells [N, 15, h / 8, w / 8].
        """
        shares = self._shares(atlas)
        mixed = lift(self.coarse(coarse), self.fine(fine), self.mix_fine)
        mixed = lift(mixed, self.finest(finest), self.mix_finest)
        clot = self.clot(self.dropout(mixed))  # (N, 1, h / 8, w / 8)
        share = self.share_weight * torch.log(shares.clamp_min(NO_SHARE))
        evidence: Tensor = clot + self.region_bias + share
        return torch.logsumexp(evidence, dim=(2, 3)) + self.tissue(coarse, shares), evidence

    def set_mirror(self, mirror: Sequence[int] | None) -> None:
        """Say which region lies on the other side of each; at first that is each itself."""
        if mirror is not None:
            self.tissue.mirror.copy_(torch.tensor(mirror))

    def _shares(self, atlas: Tensor) -> Tensor:
        """Return each region's share of each cell, [N, 15, h / 8, w / 8] in 0..1."""
        voxels = atlas[:, :, ::STEP_PX, ::STEP_PX] * ATLAS_WINDOW[1]
        # nearer than half a region, for a share of the window is rounded
        is_region = ((voxels - self.numbers).abs() < 0.5).to(atlas.dtype)
        return F.avg_pool2d(is_region, SAMPLES)


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
        """Map features [N, F, h / 32, w / 32] and shares [N, 15, h / 8, w / 8] to logits [N, 15].

        A region that the slice has nothing of gets 0.
        """
        features = F.relu6(self.reduce(coarse)).flatten(2)  # (N, T, cells)
        weights = F.avg_pool2d(shares, 4).flatten(2)  # (N, 15, cells)
        area = weights.sum(dim=2)
        means = weights @ features.transpose(1, 2) / (area.unsqueeze(2) + _LEAST_AREA)
        other = means[:, self.mirror]
        compared = F.relu(self.compare(torch.cat([means, other, means - other], dim=2)))
        logits: Tensor = self.classifier(self.dropout(compared)).squeeze(2) + self.region_bias
        return logits * (area > 0).to(logits.dtype)


_LEAST_AREA = 1e-3
"""In cells at stride 32: keeps the mean of an absent region finite."""
