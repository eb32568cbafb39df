# SPDX-License-Identifier: Apache-2.0
"""A small head that looks different when it is turned or mirrored, in any orientation.

Arrays are canonical [Z, H, W] in HU, as everywhere (docs/architecture.md).
"""

from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from numpy.typing import NDArray

SHAPE = (24, 96, 80)  # (Z, H, W), three different lengths: a swap of axes shows
SPACING_MM = (2.2, 2.2, 3.5)  # (x, y, z): 176 x 211 mm across, 84 mm long
STORED_OFFSET_HU = -1024.0  # as scanners store HU: a host that forgets scl_inter shows
ORIENTATIONS = ("LPS", "RAS", "LPI", "PSR")
"""The usual ones, one from the top down, and one stored sagittally; each letter: runs towards."""

_AIR_HU, _BRAIN_HU, _BONE_HU, _VESSEL_HU = -1000.0, 35.0, 900.0, 350.0


def make_head(seed: int) -> NDArray[np.int16]:
    """Make a head with vessels on its left side only, in front and near the top.

    Args:
        seed: Of the noise; the channels of a patient differ by it.

    Returns:
        int16 [Z, H, W] in HU.
    """
    depth, height, width = SHAPE
    z, y, x = np.mgrid[:depth, :height, :width]
    radius = _radius(y, x)
    brain = np.random.default_rng(seed).normal(_BRAIN_HU, 8.0, SHAPE)
    volume = np.where(radius < 0.9, brain, np.where(radius < 1.0, _BONE_HU, _AIR_HU))
    for left, back, top in ((0.68, 0.35, 0.55), (0.60, 0.45, 0.70), (0.72, 0.52, 0.85)):
        near = ((x / width - left) / 0.05) ** 2 + ((y / height - back) / 0.05) ** 2
        volume[(near < 1) & (z >= top * depth - 5) & (z < top * depth + 3)] = _VESSEL_HU
    return np.rint(volume).astype(np.int16)


def make_atlas() -> NDArray[np.int16]:
    """Make the atlas of the small head: 14 regions in seven slabs from front to back, 0 around.

    Odd regions lie on the patient's right, the first columns.

    Returns:
        int16 [Z, H, W], 0..14.
    """
    depth, height, width = SHAPE
    _z, y, x = np.mgrid[:depth, :height, :width]
    regions = 1 + 2 * (y * 7 // height) + (x * 2 // width)
    return np.where(_radius(y, x) < 1.0, regions, 0).astype(np.int16)


def _radius(y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distance of rows and columns from the head's axis, 1 at its surface."""
    _depth, height, width = SHAPE
    radius: NDArray[np.float64] = np.hypot(
        (y - height / 2) / (0.42 * height), (x - width / 2) / (0.40 * width)
    )
    return radius


def write_head(path: Path, volume: NDArray[np.int16], *, orientation: str) -> None:
    """Store a volume, its voxels in the order of an orientation.

    Args:
        path: The `.nii.gz` file.
        volume: int16 [Z, H, W] in HU.
        orientation: Where the stored axes i, j, k run to, such as `RAS`.
    """
    canonical = volume.transpose(2, 1, 0)  # [Z, H, W] -> (x, y, z), which is LPS
    x_mm, y_mm, z_mm = SPACING_MM
    to_ras_mm = np.diag([-x_mm, -y_mm, z_mm, 1.0])
    turn = ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(orientation))
    stored = nibabel.apply_orientation(canonical, turn)
    affine = to_ras_mm @ inv_ornt_aff(turn, canonical.shape)
    image = nibabel.Nifti1Image((stored - STORED_OFFSET_HU).astype(np.int16), affine)
    image.header.set_slope_inter(1.0, STORED_OFFSET_HU)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
