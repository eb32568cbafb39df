# SPDX-License-Identifier: Apache-2.0
"""A slice without its vessels: whatever a vessel touches is painted over with what surrounds it.

The mask comes from the geometry of the healthy head, so that it does not tell where a clot is.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from aminet_benchmarks.phantom.lumen import draw_lumen
from aminet_benchmarks.phantom.patient import PhantomPatient

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

DILATION_MM = 1.5  # covers the resampling of phases 2 and 3, too
SURROUNDINGS_MM = 3.0  # SD of the Gaussian that looks around
FAINTEST_WEIGHT = 1e-3  # of the surroundings, below which the nearest tissue is taken


def vessel_mask(patient: PhantomPatient, index: int) -> Mask:
    """Mark the pixels [H, W] near any vessel or plaque, filled or not."""
    grid = patient.grid
    columns, rows, _ = grid.shape
    touched = np.zeros(rows * columns, np.bool_)
    touched[draw_lumen(patient.renderer.model.beads, grid=grid, index=index)[0]] = True
    if not touched.any():
        return touched.reshape(rows, columns)
    away_mm = distance_transform_edt(~touched.reshape(rows, columns), sampling=grid.spacing_mm[0])
    return np.asarray(away_mm <= DILATION_MM, np.bool_)


class Surroundings:
    """What to paint over the masked pixels of one slice, in any of its phases.

    Args:
        mask: bool [H, W], pixels to paint over.
        pixel_mm: Size of a pixel.
    """

    def __init__(self, mask: Mask, *, pixel_mm: float) -> None:
        self._mask = mask
        self._sigma_px = SURROUNDINGS_MM / pixel_mm
        self._seen = (~mask).astype(np.float32)
        self._weight = self._smooth(self._seen)
        self._nearest = distance_transform_edt(mask, return_distances=False, return_indices=True)

    def paint_all(self, phases: Field) -> Field:
        """Paint over each of the phases [P, H, W]."""
        return np.stack([self.paint(plane) for plane in phases])

    def paint(self, plane: Field) -> Field:
        """Return a plane [H, W] whose masked pixels hold a smooth mean of those around them."""
        if not self._mask.any():
            return plane
        smooth = self._smooth(plane * self._seen) / np.maximum(self._weight, FAINTEST_WEIGHT)
        nearest = plane[self._nearest[0], self._nearest[1]]
        around = np.where(self._weight > FAINTEST_WEIGHT, smooth, nearest)
        return np.where(self._mask, around, plane).astype(np.float32)

    def _smooth(self, plane: Field) -> Field:
        return np.asarray(gaussian_filter(plane, self._sigma_px, truncate=3.0), np.float32)
