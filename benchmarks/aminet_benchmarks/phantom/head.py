# SPDX-License-Identifier: Apache-2.0
"""The shape of a head: vault, skull base, ventricles and air spaces as signed distances.

All shapes are analytic functions of a point in the head frame (MNI millimetres), positive inside.
The numbers were laid out on the outlines of a clinical head-CT template in MNI space (Rorden et
al., NeuroImage 2012;61:957).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from aminet_benchmarks.phantom.config import PhantomConfig

Points = NDArray[np.float32]
Field = NDArray[np.float32]
ThickLine = tuple[tuple[float, float, float, float], ...]

# Height of the skull base over |x| (columns) and y (rows), mm; the clivus is the slope at x = 0.
BASE_X_MM = np.array([0.0, 10, 20, 35, 50, 65])
BASE_Y_MM = np.array([-100.0, -80, -60, -45, -35, -25, -15, -5, 5, 15, 25, 45, 70])
BASE_Z_MM = np.array(
    [
        [-30, -30, -30, -30, -28, -25],
        [-48, -48, -46, -44, -38, -30],
        [-60, -60, -56, -50, -44, -36],
        [-67, -63, -56, -48, -38, -34],
        [-68, -60, -48, -37, -32, -34],
        [-59, -50, -37, -32, -36, -38],
        [-43, -36, -33, -40, -45, -40],
        [-30, -29, -35, -45, -46, -40],
        [-25, -26, -35, -44, -44, -38],
        [-23, -23, -27, -38, -36, -30],
        [-22, -20, -18, -19, -22, -24],
        [-20, -17, -16, -16, -18, -20],
        [-18, -16, -16, -16, -16, -16],
    ]
)
VAULT_POWER = 2.25  # between an ellipsoid and a box
LOWER_HALF_HEIGHT_MM = 82.0
BASE_THICKNESS_MM = 5.0
BASE_SLOPE = 0.85  # mean cosine of the base: height above it to distance from it


@dataclass(frozen=True, slots=True)
class HeadShape:
    """The parameters of one head, mm in the head frame.

    Attributes:
        centre_mm: Centre of the vault.
        half_axes_mm: Inner half axes of the vault: x, y, z upwards.
        egg: Relative narrowing of the vault from back to front.
        skew: Sideways shear of the vault per mm of y: asymmetry.
        skull_mm: Thickness of the vault.
        scalp_mm: Thickness of the scalp.
        atrophy: 0 young to 1 old.
        ventricle_scale: Size of the ventricles.
        base_shift_mm: Height of the skull base against the template.
    """

    centre_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]
    egg: float
    skew: float
    skull_mm: float
    scalp_mm: float
    atrophy: float
    ventricle_scale: float
    base_shift_mm: float


def draw_head(rng: np.random.Generator, config: PhantomConfig) -> HeadShape:
    """Draw the shape of a head."""
    atrophy = float(np.clip((rng.uniform(*config.age) - 40) / 50, 0, 1))
    return HeadShape(
        centre_mm=(float(rng.normal(0, 0.5)), -16.0, 8.0),
        half_axes_mm=(
            70 + float(rng.normal(0, 1.5)),
            87 + float(rng.normal(0, 1.5)),
            75 + float(rng.normal(0, 1.0)),
        ),
        egg=float(rng.uniform(0.06, 0.14)),
        skew=float(rng.normal(0, 0.015)),
        skull_mm=float(rng.uniform(5.0, 7.5)),
        scalp_mm=float(rng.uniform(4.5, 8.0)),
        atrophy=atrophy,
        ventricle_scale=float(0.8 + 0.5 * atrophy + rng.normal(0, 0.1)),
        base_shift_mm=float(rng.normal(0, 1.0)),
    )


def vault_ratio(head: HeadShape, points: Points) -> Field:
    """Return the size of the vault through each point: 0 at its centre, 1 on the inner table."""
    a, b, c = head.half_axes_mm
    y = points[..., 1] - np.float32(head.centre_mm[1])
    z = points[..., 2] - np.float32(head.centre_mm[2])
    x = points[..., 0] - np.float32(head.centre_mm[0]) - np.float32(head.skew) * y
    width = np.float32(a) * (1 - np.float32(head.egg / b) * y)
    height = np.where(z > 0, np.float32(c), np.float32(LOWER_HALF_HEIGHT_MM))
    power = np.float32(VAULT_POWER)
    total = np.abs(x / width) ** power
    total += np.abs(y * np.float32(1 / b)) ** power
    total += np.abs(z / height) ** power
    return np.asarray(total ** np.float32(1 / VAULT_POWER), np.float32)


def vault_depth_mm(head: HeadShape, points: Points) -> Field:
    """Return the distance to the inner table along the ray from the centre, positive inside."""
    ratio = np.maximum(vault_ratio(head, points), np.float32(0.05))
    reach = np.linalg.norm(points - np.array(head.centre_mm, np.float32), axis=-1)
    return np.asarray(reach * (1 / ratio - 1), np.float32)


def base_height_mm(head: HeadShape, points: Points) -> Field:
    """Return the height of the skull base below or above each point."""
    spline = RectBivariateSpline(BASE_Y_MM, BASE_X_MM, BASE_Z_MM, kx=3, ky=3)
    y_ticks, x_ticks = np.arange(-101.0, 72.0, 1.0), np.arange(0.0, 71.0, 1.0)
    table = spline(y_ticks, x_ticks).astype(np.float32)
    row = np.clip(np.rint(points[..., 1] + 101), 0, len(y_ticks) - 1).astype(np.int32)
    column = np.clip(np.rint(np.abs(points[..., 0])), 0, len(x_ticks) - 1).astype(np.int32)
    return np.asarray(table[row, column] + np.float32(head.base_shift_mm), np.float32)


def cavity_depth_mm(head: HeadShape, points: Points) -> Field:
    """Return the signed distance to the wall of the cranial cavity, positive inside."""
    floor = (points[..., 2] - base_height_mm(head, points)) * np.float32(BASE_SLOPE)
    return np.asarray(np.minimum(vault_depth_mm(head, points), floor), np.float32)


def ellipsoid_mm(
    points: Points, centre: tuple[float, float, float], half: tuple[float, float, float]
) -> Field:
    """Return an approximate signed distance to an ellipsoid, mirrored to both sides of x = 0."""
    total = np.zeros(points.shape[:-1], np.float32)
    for axis in range(3):
        value = np.abs(points[..., 0]) if axis == 0 else points[..., axis]
        total += ((value - np.float32(centre[axis])) * np.float32(1 / half[axis])) ** 2
    return np.asarray((1 - np.sqrt(total)) * np.float32(min(half)), np.float32)


def polyline_mm(points: Points, line: ThickLine, *, thickness: float = 1.0) -> Field:
    """Return radius minus distance to a thick line, mirrored to both sides of x = 0.

    Args:
        points: [..., 3] mm.
        line: x, y, z and radius of each vertex, mm.
        thickness: Factor on the radii.
    """
    path = np.array(line, np.float32) * np.array([1, 1, 1, thickness], np.float32)
    mirrored = points.copy()
    mirrored[..., 0] = np.abs(mirrored[..., 0])
    best = np.full(points.shape[:-1], -1e3, np.float32)
    for start, end in pairwise(path):
        axis = end[:3] - start[:3]
        t = np.clip((mirrored - start[:3]) @ axis / (axis @ axis), 0, 1)
        offset = mirrored - start[:3] - t[..., None] * axis
        radius = start[3] + t * (end[3] - start[3])
        np.maximum(best, radius - np.sqrt(np.einsum("...i,...i", offset, offset)), out=best)
    return best
