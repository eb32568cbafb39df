# SPDX-License-Identifier: Apache-2.0
"""Atlas against clot and SPIRAL map: what is known about each region of a slice."""

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.regions import REGION_COUNT, slice_labels
from aminet_train.cohort.prepared_patient import CELL_GRID, PatientTruth


class TruthCollector:
    """Collects the truth of one patient slice by slice, in any order.

    Args:
        slice_count: Z of the patient; slices of which nothing is added hold no clot.
        grid: Height and width of the clot grid of a whole slice.
    """

    def __init__(self, slice_count: int, grid: tuple[int, int] = CELL_GRID) -> None:
        self._labels = np.zeros((slice_count, REGION_COUNT), np.uint8)
        self._cells = np.zeros((slice_count, *grid), np.uint16)
        self._spiral: NDArray[np.float32] | None = None

    def add_clot(
        self, index: int, *, clot: NDArray[np.generic], atlas: NDArray[np.generic]
    ) -> None:
        """Add the clot of a slice.

        Args:
            index: Canonical slice number.
            clot: [H, W], 0 none, 1 and 2 clot.
            atlas: [H, W], 0..14.

        Raises:
            InputInconsistent: Atlas or clot holds another value.
        """
        self._labels[index] = slice_labels(clot, atlas)
        self._cells[index] = clot_cells(clot, atlas, grid=self._cells.shape[1:])

    def add_spiral(
        self, index: int, *, spiral: NDArray[np.float32], atlas: NDArray[np.generic]
    ) -> None:
        """Add the SPIRAL map of a slice, float32 [H, W] in 0..1."""
        if self._spiral is None:
            self._spiral = np.zeros(self._labels.shape, np.float32)
        self._spiral[index] = region_maxima(spiral, atlas)

    def truth(self) -> PatientTruth:
        """Return what was collected."""
        return PatientTruth(self._labels, self._cells, self._spiral)


def clot_cells(
    clot: NDArray[np.generic], atlas: NDArray[np.generic], *, grid: tuple[int, ...] = CELL_GRID
) -> NDArray[np.uint16]:
    """Mark in which cells of a coarse grid each region's clot lies.

    Args:
        clot: [H, W], 0 none, 1 and 2 clot.
        atlas: [H, W], 0..14.
        grid: gh and gw.

    Returns:
        uint16 [gh, gw], bit r set where clot lies on atlas value r.
    """
    cells = np.zeros(grid, np.uint16)
    rows, columns = np.nonzero(clot)
    if len(rows):
        bits = np.left_shift(1, atlas[rows, columns].astype(np.uint16)).astype(np.uint16)
        cell_rows = rows * grid[0] // clot.shape[0]
        cell_columns = columns * grid[1] // clot.shape[1]
        np.bitwise_or.at(cells, (cell_rows, cell_columns), bits)
    return cells


def region_maxima(spiral: NDArray[np.float32], atlas: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the highest SPIRAL value in each region; 0 where the slice has none of the region.

    Args:
        spiral: [H, W], 0..1.
        atlas: [H, W], 0..14.

    Returns:
        float32 [15].
    """
    maxima = np.zeros(REGION_COUNT, np.float32)
    above = spiral > 0  # most of a map is 0
    np.maximum.at(maxima, atlas[above].astype(np.intp), spiral[above])
    return maxima
