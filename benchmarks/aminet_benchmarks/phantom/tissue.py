# SPDX-License-Identifier: Apache-2.0
"""The borders of the tissues of a grown head, as signed distances on a coarse grid."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.grid import ModelGrid
from aminet_benchmarks.phantom.head import (
    BASE_SLOPE,
    BASE_THICKNESS_MM,
    HeadShape,
    base_height_mm,
    ellipsoid_mm,
    polyline_mm,
    vault_depth_mm,
)
from aminet_benchmarks.phantom.randomness import band_noise, stream

Field = NDArray[np.float32]

TEXTURE_SIGMA = 1.3  # grid steps
FOLD_SIGMA = 1.45
SHEET_HALF_MM = 0.6  # falx and tentorium

# Thick lines of the right side: x, y, z and radius of each vertex.
LATERAL_VENTRICLE = (
    (10, 30, 2, 3.0),
    (8, 18, 10, 4.2),
    (7, 0, 19, 3.8),
    (11, -22, 20, 4.2),
    (21, -40, 10, 5.0),
    (27, -36, -2, 3.2),
    (30, -18, -16, 1.8),
)
OCCIPITAL_HORN = ((21, -40, 10, 4.5), (20, -62, 8, 2.2))
SYLVIAN_STEM = ((14, 0, -17, 3), (38, 3, -18, 2.5))
PYRAMID = ((12, -14, -44, 4), (30, -27, -40, 8), (52, -34, -44, 9))
JAW_RAMUS = ((48, 10, -82, 4), (50, 0, -52, 3))
CHEEK_BONE = ((30, 66, -50, 4), (62, 34, -46, 3), (64, -6, -44, 3))
EAR_CANAL = ((80, -22, -48, 4), (56, -22, -46, 3))


class Layer(IntEnum):
    """The fields of a `TissueModel`; positive is inside."""

    SCALP = 0
    VAULT = 1  # the cavity's wall towards the vault
    BASE = 2  # the cavity's floor
    EXTRA_BONE = 3
    AIR = 4
    FOLDS = 5  # noise whose zeros are the sulci
    VENTRICLE = 6
    MEMBRANE = 7
    NUCLEI = 8
    TEXTURE = 9  # noise of unit SD
    FISSURE = 10


@dataclass(frozen=True, slots=True)
class TissueModel:
    """Tissue on a coarse grid.

    Attributes:
        grid: The coarse grid.
        fields: float32 [len(Layer), Zc, Hc, Wc], mm in the scanner but for the two noises.
        skull_mm: Thickness of the vault: bone ends where `VAULT` plus this is 0,
        atrophy: 0 young to 1 old; widens the spaces that hold CSF.
        base_mm: or where `BASE` plus this is 0, the thickness of the base.
    """

    grid: ModelGrid
    fields: Field
    skull_mm: float
    atrophy: float
    base_mm: float = BASE_THICKNESS_MM


def build_tissue(grid: ModelGrid, *, head: HeadShape, seed: int) -> TissueModel:
    """Evaluate the head's shapes on a coarse grid."""
    points = grid.head_points_mm()
    scale = np.float32(grid.pose.scale.mean())
    texture = band_noise(stream(seed, "texture"), grid.shape, sigma=TEXTURE_SIGMA)
    fields = np.zeros((len(Layer), *grid.shape), np.float32)
    vault = vault_depth_mm(head, points)
    fields[Layer.VAULT] = vault
    fields[Layer.BASE] = (points[..., 2] - base_height_mm(head, points)) * np.float32(BASE_SLOPE)
    fields[Layer.SCALP] = np.maximum(vault + head.skull_mm + head.scalp_mm, _face_mm(points))
    fields[Layer.EXTRA_BONE] = _extra_bone_mm(points)
    fields[Layer.AIR] = _air_spaces_mm(points, texture)
    fields[Layer.VENTRICLE] = _ventricles_mm(points, head)
    fields[Layer.MEMBRANE] = membranes_mm(points)
    fields[Layer.NUCLEI] = nuclei_mm(points)
    fields[Layer.FISSURE] = fissures_mm(points, head)
    fields *= scale
    fields[Layer.TEXTURE] = texture
    fields[Layer.FOLDS] = band_noise(stream(seed, "folds"), grid.shape, sigma=FOLD_SIGMA)
    return TissueModel(grid=grid, fields=fields, skull_mm=head.skull_mm, atrophy=head.atrophy)


def _face_mm(points: Field) -> Field:
    """Face and neck: an upright column that reaches up to the orbits, and a nose."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    narrowing = np.clip((-30 - z) / 60, 0, 1)
    half_x, half_y = 68 - 12 * narrowing, 92 - 14 * narrowing
    ahead = y - np.where(z < -60, np.float32(2), np.float32(4))
    column = 1 - np.sqrt((x / half_x) ** 2 + (ahead / half_y) ** 2)
    nose = ellipsoid_mm(points, (0, 94, -52), (10, 18, 20))
    return np.asarray(np.maximum(np.minimum(column * 66, -8 - z), nose), np.float32)


def _extra_bone_mm(points: Field) -> Field:
    """Bone besides the vault and base: pyramids, spine, orbital rims, jaw and cheek bones."""
    spine = np.minimum(
        ellipsoid_mm(points, (0, -30, -88), (24, 22, 20)),
        -ellipsoid_mm(points, (0, -38, -88), (11, 10, 60)),
    )
    orbit = np.minimum(
        ellipsoid_mm(points, (33, 58, -28), (23, 30, 21)),
        -ellipsoid_mm(points, (33, 60, -28), (19, 33, 17)),
    )
    jaw = np.minimum(
        ellipsoid_mm(points, (0, 44, -82), (34, 42, 9)),
        -ellipsoid_mm(points, (0, 40, -82), (28, 36, 40)),
    )
    lines = [polyline_mm(points, path) for path in (PYRAMID, JAW_RAMUS, CHEEK_BONE)]
    return np.asarray(np.maximum.reduce([spine, orbit, jaw, *lines]), np.float32)


def _air_spaces_mm(points: Field, texture: Field) -> Field:
    """Sinuses, nose, throat, ear canals and mastoid cells."""
    parts = (
        ellipsoid_mm(points, (12, 74, -8), (12, 5, 10)),  # frontal sinus
        ellipsoid_mm(points, (6, 50, -36), (5, 26, 14)),  # ethmoid cells
        ellipsoid_mm(points, (9, 14, -36), (8, 10, 7)),  # sphenoid sinus
        ellipsoid_mm(points, (26, 44, -58), (13, 15, 15)),  # maxillary sinus
        ellipsoid_mm(points, (6, 50, -62), (4, 26, 12)),  # nose
        ellipsoid_mm(points, (0, 12, -80), (12, 9, 30)),  # throat
        polyline_mm(points, EAR_CANAL),
        ellipsoid_mm(points, (54, -42, -50), (9, 13, 14)) - 2 * np.abs(texture) - 1,  # mastoid
    )
    return np.asarray(np.maximum.reduce(parts), np.float32)


def _ventricles_mm(points: Field, head: HeadShape) -> Field:
    """Ventricles and the two large cisterns of the midline."""
    size = head.ventricle_scale
    parts = (
        polyline_mm(points, LATERAL_VENTRICLE, thickness=size),
        polyline_mm(points, OCCIPITAL_HORN, thickness=size),
        ellipsoid_mm(points, (0, -12, -1), (2.0 * size, 14, 9)),  # third ventricle
        ellipsoid_mm(points, (0, -46, -34), (6, 6, 10)),  # fourth ventricle
        ellipsoid_mm(points, (0, -8, -17), (13, 12, 5)),  # suprasellar cistern
        ellipsoid_mm(points, (0, -36, -8), (9, 5, 6)),  # quadrigeminal cistern
    )
    return np.asarray(np.maximum.reduce(parts), np.float32)


def membranes_mm(points: Field) -> Field:
    """Falx and tentorium as thin sheets."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    above = np.minimum(np.hypot(y + 12, z + 2) - 42, z + 12)
    falx = np.minimum(SHEET_HALF_MM - np.abs(x), above * 0.5)
    height = -6 - 0.35 * np.abs(x) - 0.12 * (y + 45)
    opening = np.hypot(x, y + 30) - 24
    tentorium = np.minimum(SHEET_HALF_MM - np.abs(z - height), np.minimum(opening, -28 - y))
    return np.asarray(np.maximum(falx, tentorium), np.float32)


def nuclei_mm(points: Field) -> Field:
    """Deep grey matter: thalamus, lentiform nucleus, head of the caudate."""
    parts = (
        ellipsoid_mm(points, (11, -18, 7), (8, 14, 9)),
        ellipsoid_mm(points, (24, 0, 1), (6, 17, 9)),
        ellipsoid_mm(points, (13, 15, 6), (5, 9, 9)),
    )
    return np.asarray(np.maximum.reduce(parts), np.float32)


def fissures_mm(points: Field, head: HeadShape) -> Field:
    """CSF in the sylvian and interhemispheric fissures."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    width = np.float32(1.2 + 1.6 * head.atrophy)
    height = -6 - 0.45 * (y - 4)
    sheet = width * 0.8 - np.abs(z - height) * 0.9
    lateral = np.minimum(np.minimum(sheet, x - 36), np.minimum(22 - y, y + 36))
    beside_insula = np.minimum(16 - np.abs(z - 2 + 0.2 * y), 20 - np.abs(y + 2))
    insula = np.minimum(width - np.abs(x - 39), beside_insula)
    stem = polyline_mm(points, SYLVIAN_STEM)
    midline = np.minimum(width * 0.9 - x, np.hypot(y + 12, z + 2) - 38)
    return np.asarray(np.maximum.reduce((lateral, insula, stem, midline)), np.float32)
