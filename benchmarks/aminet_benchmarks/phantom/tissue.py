# SPDX-License-Identifier: Apache-2.0
"""Tissue: the head's shapes on a coarse grid, and the HU of a slice made of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.grid import ModelGrid
from aminet_benchmarks.phantom.head import (
    BASE_THICKNESS_MM,
    HeadShape,
    base_height_mm,
    ellipsoid_mm,
    polyline_mm,
    vault_depth_mm,
)
from aminet_benchmarks.phantom.randomness import band_noise, stream

Field = NDArray[np.float32]

AIR_HU = -1000.0
FAT_HU = -80.0
MUSCLE_HU = 50.0
CSF_HU = 8.0
WHITE_HU = 28.0
GREY_HU = 37.0
DURA_HU = 55.0
TABLE_HU = 1250.0  # cortical bone
DIPLOE_HU = 550.0
DENSE_BONE_HU = 1500.0  # petrous pyramid, teeth
GREY_BLOOD = 0.045  # blood volume, ml/ml: CBV 4 ml/100 g
WHITE_BLOOD = 0.022
SOFT_BLOOD = 0.02
EDGE_MM = 0.8  # width of a tissue edge: resolution of the scanner

SULCUS_STEP_MM_PER_UNIT = 2.3  # distance in which the fold noise changes by its SD
GREY_RIBBON_MM = 3.2

FIELDS = (
    "scalp",
    "vault",
    "base",
    "extra_bone",
    "air",
    "folds",
    "ventricle",
    "membrane",
    "nuclei",
    "texture",
    "fissure",
)

LATERAL_VENTRICLE = np.array(
    [
        [10, 30, 2, 3.0],
        [8, 18, 10, 4.2],
        [7, 0, 19, 3.8],
        [11, -22, 20, 4.2],
        [21, -40, 10, 5.0],
        [27, -36, -2, 3.2],
        [30, -18, -16, 1.8],
    ],
    np.float32,
)
OCCIPITAL_HORN = np.array([[21, -40, 10, 4.5], [20, -62, 8, 2.2]], np.float32)
SYLVIAN_FISSURE = np.array(
    [[66, 14, -14], [66, -8, 2], [66, -34, 16]], np.float32
)  # its opening on the surface


@dataclass(frozen=True, slots=True)
class TissueModel:
    """Tissue on a coarse grid.

    Attributes:
        grid: The coarse grid.
        fields: float32 [len(FIELDS), Zc, Hc, Wc], in the order of FIELDS.
        head: Shape of the head.
    """

    grid: ModelGrid
    fields: Field
    head: HeadShape


def build_tissue(grid: ModelGrid, *, head: HeadShape, seed: int) -> TissueModel:
    """Evaluate the head's shapes on the coarse grid."""
    points = grid.head_points_mm()
    scale = np.float32(grid.pose.scale.mean())
    fields = np.empty((len(FIELDS), *grid.shape), np.float32)
    noise = band_noise(stream(seed, "texture"), grid.shape, sigma=1.3)
    named = dict(zip(FIELDS, fields, strict=True))
    vault = vault_depth_mm(head, points)
    named["vault"][:] = vault
    named["base"][:] = (points[..., 2] - base_height_mm(head, points)) * np.float32(0.85)
    named["scalp"][:] = np.maximum(vault + head.skull_mm + head.scalp_mm, _face_mm(points))
    named["extra_bone"][:] = _extra_bone_mm(points)
    named["air"][:] = _air_spaces_mm(points, noise)
    named["folds"][:] = band_noise(stream(seed, "folds"), grid.shape, sigma=1.45)
    named["ventricle"][:] = _ventricles_mm(points, head)
    named["membrane"][:] = _membranes_mm(points)
    named["nuclei"][:] = _nuclei_mm(points)
    named["fissure"][:] = _fissures_mm(points, head)
    fields *= scale
    named["texture"][:] = noise
    named["folds"] /= scale
    return TissueModel(grid=grid, fields=fields, head=head)


def _face_mm(points: Field) -> Field:
    """Face and neck: an upright column that reaches up to the orbits."""
    z = points[..., 2]
    narrowing = np.clip((-30 - z) / 60, 0, 1)
    half_x = 68 - 12 * narrowing
    half_y = 92 - 14 * narrowing
    y = points[..., 1] - np.where(z < -60, np.float32(2), np.float32(4))
    column = 1 - np.sqrt((points[..., 0] / half_x) ** 2 + (y / half_y) ** 2)
    nose = ellipsoid_mm(points, (0, 94, -52), (10, 18, 20))
    return np.asarray(np.maximum(np.minimum(column * 66, -8 - z), nose), np.float32)


def _extra_bone_mm(points: Field) -> Field:
    """Bone besides the vault and base: pyramids, spine, orbital rims, jaw and cheek bones."""
    parts = (
        polyline_mm(
            points, np.array([[12, -14, -44, 4], [30, -27, -40, 8], [52, -34, -44, 9]], np.float32)
        ),
        np.minimum(
            ellipsoid_mm(points, (0, -30, -88), (24, 22, 20)),
            -ellipsoid_mm(points, (0, -38, -88), (11, 10, 60)),
        ),
        polyline_mm(points, np.array([[48, 10, -82, 4], [50, 0, -52, 3]], np.float32)),
        polyline_mm(points, np.array([[30, 66, -50, 4], [62, 34, -46, 3], [64, -6, -44, 3]], "f4")),
        np.minimum(
            ellipsoid_mm(points, (33, 58, -28), (23, 30, 21)),
            -ellipsoid_mm(points, (33, 60, -28), (19, 33, 17)),
        ),
        np.minimum(
            ellipsoid_mm(points, (0, 44, -82), (34, 42, 9)),
            -ellipsoid_mm(points, (0, 40, -82), (28, 36, 40)),
        ),
    )
    return np.asarray(np.maximum.reduce(parts), np.float32)


def _air_spaces_mm(points: Field, noise: Field) -> Field:
    """Sinuses, nose, throat, ear canals and mastoid cells."""
    parts = (
        ellipsoid_mm(points, (12, 74, -8), (12, 5, 10)),
        ellipsoid_mm(points, (6, 50, -36), (5, 26, 14)),
        ellipsoid_mm(points, (9, 14, -36), (8, 10, 7)),
        ellipsoid_mm(points, (26, 44, -58), (13, 15, 15)),
        ellipsoid_mm(points, (6, 50, -62), (4, 26, 12)),
        ellipsoid_mm(points, (0, 12, -80), (12, 9, 30)),
        polyline_mm(points, np.array([[80, -22, -48, 4], [56, -22, -46, 3]], np.float32)),
        ellipsoid_mm(points, (54, -42, -50), (9, 13, 14)) - 2 * np.abs(noise) - 1,
    )
    return np.asarray(np.maximum.reduce(parts), np.float32)


def _ventricles_mm(points: Field, head: HeadShape) -> Field:
    def scaled(path: NDArray[np.float32]) -> NDArray[np.float32]:
        return path * np.array([1, 1, 1, head.ventricle_scale], np.float32)

    parts = (
        polyline_mm(points, scaled(LATERAL_VENTRICLE)),
        polyline_mm(points, scaled(OCCIPITAL_HORN)),
        ellipsoid_mm(points, (0, -12, -1), (2.0 * head.ventricle_scale, 14, 9)),
        ellipsoid_mm(points, (0, -46, -34), (6, 6, 10)),
        ellipsoid_mm(points, (0, -8, -17), (13, 12, 5)),  # suprasellar cistern
        ellipsoid_mm(points, (0, -36, -8), (9, 5, 6)),  # quadrigeminal cistern
    )
    return np.asarray(np.maximum.reduce(parts), np.float32)


def _membranes_mm(points: Field) -> Field:
    """Falx and tentorium as thin sheets, positive within."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    above = np.minimum(np.hypot(y + 12, z + 2) - 42, z + 12)
    falx = np.minimum(0.6 - np.abs(x), above * 0.5)
    height = -6 - 0.35 * np.abs(x) - 0.12 * (y + 45)
    opening = np.hypot(x, y + 30) - 24
    tentorium = np.minimum(0.6 - np.abs(z - height), np.minimum(opening, -28 - y))
    return np.asarray(np.maximum(falx, tentorium), np.float32)


def _nuclei_mm(points: Field) -> Field:
    """Deep grey matter: thalamus, lentiform nucleus, head of the caudate."""
    parts = (
        ellipsoid_mm(points, (11, -18, 7), (8, 14, 9)),
        ellipsoid_mm(points, (24, 0, 1), (6, 17, 9)),
        ellipsoid_mm(points, (13, 15, 6), (5, 9, 9)),
    )
    return np.asarray(np.maximum.reduce(parts), np.float32)


def _fissures_mm(points: Field, head: HeadShape) -> Field:
    """CSF in the sylvian and interhemispheric fissures, positive within."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    width = np.float32(1.2 + 1.6 * head.atrophy)
    sylvian_height = -6 - 0.45 * (y - 4) + 0.0 * z
    sheet = width * 0.8 - np.abs(z - sylvian_height) * 0.9
    lateral = np.minimum(np.minimum(sheet, x - 36), np.minimum(22 - y, y + 36))
    insula = np.minimum(
        width - np.abs(x - 39), np.minimum(16 - np.abs(z - 2 + 0.2 * y), 20 - np.abs(y + 2))
    )
    stem = polyline_mm(points, np.array([[14, 0, -17, 3], [38, 3, -18, 2.5]], np.float32))
    midline = np.minimum(width * 0.9 - x, np.hypot(y + 12, z + 2) - 38)
    return np.asarray(np.maximum.reduce((lateral, insula, stem, midline)), np.float32)


def slice_tissue(fields: Field, head: HeadShape) -> tuple[Field, Field]:
    """Compose one slice out of its fields.

    Args:
        fields: float32 [len(FIELDS), H, W] in the order of FIELDS.
        head: Shape of the head.

    Returns:
        HU without contrast, and blood volume (ml/ml), both float32 [H, W].
    """
    named = dict(zip(FIELDS, fields, strict=True))
    cavity = np.minimum(named["vault"], named["base"])
    hu, blood = _outside_the_cavity(named)
    inner, inner_blood = _inside_the_cavity(named, cavity, head)
    share = _coverage(cavity)
    hu += share * (inner - hu)
    blood += share * (inner_blood - blood)
    return hu, blood


def _outside_the_cavity(named: dict[str, Field]) -> tuple[Field, Field]:
    texture = named["texture"]
    scalp = named["scalp"]
    muscle = np.clip(0.62 + texture * 0.45 + (scalp - 7) * 0.04, 0, 1)
    skin = np.clip(2.5 - scalp, 0, 1)
    soft = FAT_HU + (MUSCLE_HU - FAT_HU) * np.maximum(muscle, skin)
    hu = AIR_HU + _coverage(scalp) * (soft - AIR_HU)
    return hu, muscle * np.float32(SOFT_BLOOD)


def _inside_the_cavity(
    named: dict[str, Field], cavity: Field, head: HeadShape
) -> tuple[Field, Field]:
    atrophy = np.float32(head.atrophy)
    gap = 1.2 + 1.6 * atrophy
    depth = np.minimum(cavity - gap, -named["fissure"])
    fold = np.abs(named["folds"]) * np.float32(SULCUS_STEP_MM_PER_UNIT)
    deep = np.clip(depth - 9, 0, 60) * np.float32(0.5)
    sulcus = fold - (0.35 + 0.5 * atrophy) + deep
    pial = np.minimum(depth, sulcus)
    brain = np.minimum(pial, -named["ventricle"])
    ribbon = np.clip((GREY_RIBBON_MM - pial) / 1.6 + 0.5, 0, 1)
    grey = np.maximum(ribbon, _coverage(named["nuclei"]))
    matter = WHITE_HU + (GREY_HU - WHITE_HU) * grey + 1.2 * named["texture"]
    share = _coverage(brain)
    hu = CSF_HU + share * (matter - CSF_HU)
    membrane = _coverage(named["membrane"])
    hu += membrane * (DURA_HU - hu)
    blood = share * (WHITE_BLOOD + (GREY_BLOOD - WHITE_BLOOD) * grey) + 0.05 * membrane
    return np.asarray(hu, np.float32), np.asarray(blood, np.float32)


def slice_bone(hu: Field, blood: Field, fields: Field, head: HeadShape) -> None:
    """Put bone and the air spaces into a slice, in place."""
    named = dict(zip(FIELDS, fields, strict=True))
    outer = np.minimum(named["vault"] + head.skull_mm, named["base"] + BASE_THICKNESS_MM)
    wall = np.minimum(outer, -np.minimum(named["vault"], named["base"]))
    middle = np.clip((wall - 1.4) / 0.8, 0, 1)
    texture = named["texture"]
    bone_hu = TABLE_HU + middle * (DIPLOE_HU - TABLE_HU + 120 * texture)
    share = _coverage(wall)
    hu += share * (bone_hu - hu)
    extra = _coverage(named["extra_bone"] + 0.4 * texture)
    core = np.clip((named["extra_bone"] - 2) / 2, 0, 1)
    hu += extra * (700 + 250 * texture + 400 * core - hu)
    blood *= 1 - np.maximum(share, extra)
    air = _coverage(named["air"])
    hu += air * (AIR_HU - hu)
    blood *= 1 - air


def _coverage(distance_mm: Field) -> Field:
    return np.asarray(np.clip(distance_mm * np.float32(1 / EDGE_MM) + 0.5, 0, 1), np.float32)
