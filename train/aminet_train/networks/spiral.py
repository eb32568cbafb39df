# SPDX-License-Identifier: Apache-2.0
"""The SPIRAL baseline as a torch module: the map under the atlas, no weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aminet_runtime.regions import REGION_COUNT


@dataclass(frozen=True, slots=True)
class SpiralConfig:
    """How the baseline is built.

    Attributes:
        cell_px: Edge of the evidence map's cells, in pixels of the scan.
    """

    cell_px: int = 16


class SpiralMaximum(nn.Module):
    """The highest SPIRAL value in each region of each slice.

    It is a whole model, raw planes in and probabilities out, and has no weights. The map is a
    probability of damaged tissue already, so there is no sigmoid.
    """

    regions: Tensor

    def __init__(self, config: SpiralConfig) -> None:
        super().__init__()
        self.cell_px = config.cell_px
        numbers = torch.arange(REGION_COUNT, dtype=torch.float32).view(1, -1, 1, 1)
        self.register_buffer("regions", numbers, persistent=False)

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Take the maximum under each atlas value.

        Args:
            slices: float32 [N, 2, H, W], the SPIRAL map 0..1 and the atlas 0..14.

        Returns:
            Probabilities [N, 15], 0 where the slice has none of a region, and the maximum in each
            cell as evidence, [N, 15, ceil(H / cell), ceil(W / cell)].
        """
        # a border of zeros: the last cells are whole, and a trace need not know the size
        planes = F.pad(slices, (0, self.cell_px - 1) * 2)
        spiral, atlas = planes[:, :1], planes[:, 1:]
        # a product and no branch: it is one elementwise kernel in every engine
        in_region = (atlas == self.regions).to(spiral.dtype)  # [N, 15, H, W]
        evidence = F.max_pool2d(spiral * in_region, self.cell_px)
        return evidence.amax(dim=(2, 3)), evidence
