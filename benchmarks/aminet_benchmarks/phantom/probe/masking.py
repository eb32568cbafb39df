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


def paint_over(plane: Field, mask: Mask, *, pixel_mm: float) -> Field:
    """Return a plane [H, W] whose masked pixels hold a smooth mean of the unmasked around them."""
    if not mask.any() or mask.all():
        return plane
    _, nearest = distance_transform_edt(mask, return_indices=True)
    sigma_px = SURROUNDINGS_MM / pixel_mm
    seen = (~mask).astype(np.float32)
    weight = gaussian_filter(seen, sigma_px)
    smooth = gaussian_filter(plane * seen, sigma_px) / np.maximum(weight, FAINTEST_WEIGHT)
    smooth = np.where(weight > FAINTEST_WEIGHT, smooth, plane[nearest[0], nearest[1]])
    return np.where(mask, smooth, plane).astype(np.float32)
