# SPDX-License-Identifier: Apache-2.0
"""The atlas: 14 vascular territories and the rest, out of one template in head coordinates.

The template knows nothing of the patient's own vessels; a smooth random warp stands for the
error of registering it. Territories cover the vessels that run over them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.anatomy import Anatomy
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.grid import ModelGrid
from aminet_benchmarks.phantom.head import ellipsoid_mm
from aminet_benchmarks.phantom.randomness import smooth_waves, stream

REGION_NAMES = (
    "outside the brain",
    "right carotid terminus",
    "left carotid terminus",
    "right MCA stem and deep",
    "left MCA stem and deep",
    "right MCA superior",
    "left MCA superior",
    "right MCA inferior",
    "left MCA inferior",
    "right ACA",
    "left ACA",
    "right PCA",
    "left PCA",
    "right posterior fossa",
    "left posterior fossa",
)
REGION_MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13)
MARGIN_MM = 1.5  # the territories reach this far beyond the inner table
CAROTID_MARGIN_MM = 9.0  # the carotid's territory reaches into the cavernous sinus


@dataclass(frozen=True, slots=True)
class AtlasModel:
    """The atlas of one patient on a coarse grid.

    Attributes:
        grid: The coarse grid.
        fields: float32 [8, Zc, Hc, Wc], signed distances that `atlas_slice` compares with 0:
            brain, right, posterior fossa, carotid, deep, PCA, ACA, superior.
    """

    grid: ModelGrid
    fields: NDArray[np.float32]


def build_atlas(
    grid: ModelGrid, *, anatomy: Anatomy, config: PhantomConfig, seed: int
) -> AtlasModel:
    """Evaluate the borders of the template on a coarse grid."""
    head_mm = grid.head_points_mm()
    warp = smooth_waves(stream(seed, "atlas"), wavelength_mm=45)
    depth = anatomy.cavity_depth_mm(head_mm)
    points = anatomy.to_atlas_mm(head_mm).copy()
    points += np.float32(config.atlas_warp_mm) * warp(points)
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    carotid = ellipsoid_mm(points, (12, 1, -22), (12, 14, 13))
    fields = (
        depth + MARGIN_MM,
        points[..., 0],
        posterior_fossa_mm(points),
        np.minimum(carotid, depth + CAROTID_MARGIN_MM),
        ellipsoid_mm(points, (27, -1, -3), (13, 22, 21)),
        _posterior_cerebral(x, y, z),
        _anterior_cerebral(x, y, z),
        _superior(y, z),
    )
    return AtlasModel(grid=grid, fields=np.stack(fields).astype(np.float32))


def atlas_slice(fields: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decide the region of each pixel out of the fields [8, H, W]."""
    brain, right, fossa, carotid, deep, posterior, anterior, superior = fields > 0
    territory = np.where(superior, np.uint8(5), np.uint8(7))
    territory[anterior] = 9
    territory[posterior] = 11
    territory[deep] = 3
    territory[fossa] = 13
    territory[~brain] = 0
    territory[carotid] = 1
    territory[~right & (territory > 0)] += 1
    return territory


def posterior_fossa_mm(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signed distance to the border of the posterior fossa, positive inside."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    below_tentorium = -6 - 0.35 * x - 0.12 * (y + 45) - z
    behind_pyramid = -9 - 0.45 * x - y
    below_tip = np.maximum(-20 - z, -36 - y)
    return np.minimum(np.minimum(below_tentorium, behind_pyramid), below_tip)


def _posterior_cerebral(
    x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
) -> NDArray[np.float32]:
    occipital = np.minimum(-62 + 0.25 * (x - 20) - y, 34 - 0.2 * x - z)
    medial = np.minimum(np.minimum(-12 - y, 24 - x), 14 - 0.1 * (y + 40) - z)
    under_temporal = np.minimum(np.minimum(-16 - y, 48 - x), -13 - 0.1 * (x - 20) - z)
    border = np.maximum(np.maximum(occipital, medial), under_temporal)
    return np.asarray(border, np.float32)


def _anterior_cerebral(
    x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
) -> NDArray[np.float32]:
    width = 13 + np.clip(z - 25, 0, 50) * 0.3
    border = np.minimum(np.minimum(width - x, y + 52 - 0.3 * (z - 30)), z + 18)
    return np.asarray(border, np.float32)


def _superior(y: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
    above_sylvian = z + 6 + 0.45 * (y - 4)
    before_central = y + 26 - 0.1 * (z - 30)
    return np.asarray(np.minimum(above_sylvian, before_central), np.float32)
