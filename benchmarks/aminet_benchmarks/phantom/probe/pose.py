# SPDX-License-Identifier: Apache-2.0
"""Where a slice is and how the head lies in it: all that the pose probe sees."""

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.grid import ScanGrid

Field = NDArray[np.float32]

SOLID_HU = -300.0  # between air and fat
FEATURES = (
    "height, share of the scan",
    "centroid in columns, mm",
    "centroid in rows, mm",
    "width, mm",
    "length, mm",
    "area, cm2",
    "rotation, rad",
    "slices",
    "pixel, mm",
    "slice spacing, mm",
)


def pose_features(plane: Field, grid: ScanGrid, index: int) -> Field:
    """Measure a slice [H, W] of HU; returns float32 [len(FEATURES)].

    A slice without a head has its place and its grid, and zeros for the rest.
    """
    pixel_mm, _, step_mm = grid.spacing_mm
    slices = grid.shape[2]
    height = index / (slices - 1)
    outline = _outline(plane > SOLID_HU, pixel_mm)
    return np.array([height, *outline, slices, pixel_mm, step_mm], np.float32)


def _outline(solid: NDArray[np.bool_], pixel_mm: float) -> tuple[float, ...]:
    """Return centroid, extents, area and rotation of what is solid."""
    rows, columns = np.nonzero(solid)
    if len(rows) < 2:
        return (0.0,) * 6
    middle_row, middle_column = (length / 2 for length in solid.shape)
    x_mm, y_mm = (columns - middle_column) * pixel_mm, (rows - middle_row) * pixel_mm
    (var_x, cov), (_, var_y) = np.cov(x_mm, y_mm)
    return (
        float(x_mm.mean()),
        float(y_mm.mean()),
        float(np.ptp(x_mm)),
        float(np.ptp(y_mm)),
        len(rows) * pixel_mm**2 / 100,
        0.5 * float(np.arctan2(2 * cov, var_y - var_x)),
    )
