# SPDX-License-Identifier: Apache-2.0
"""From the borders of the tissues in a slice to HU without contrast and blood volume."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.tissue import Layer, TissueModel

Field = NDArray[np.float32]

# At 120 kV; ranges of the literature, see docs/phantom.md.
AIR_HU = -1000.0
FAT_HU = -80.0
MUSCLE_HU = 50.0
CSF_HU = 8.0
WHITE_HU = 28.0
GREY_HU = 37.0
TEXTURE_HU = 1.2
DURA_HU = 55.0
TABLE_HU = 1250.0
DIPLOE_HU = 550.0
DIPLOE_TEXTURE_HU = 120.0
SPONGY_HU = 700.0
SPONGY_TEXTURE_HU = 250.0
DENSE_EXTRA_HU = 400.0  # in the middle of the pyramids
# Blood volume, ml/ml; CBV of grey matter 4 ml/100 g, of white 2.
GREY_BLOOD = 0.045
WHITE_BLOOD = 0.022
SOFT_BLOOD = 0.02
DURA_BLOOD = 0.05

EDGE_MM = 0.8  # width of a tissue edge: the resolution of the scanner
TABLE_MM = 1.4
FOLD_MM_PER_SD = 2.3  # distance in which the fold noise changes by its SD
FOLDS_END_MM = 9.0  # depth below which sulci peter out
RIBBON_MM = 3.2  # thickness of the cortex
SKIN_MM = 2.5


@dataclass(frozen=True, slots=True)
class SliceTissue:
    """One slice before contrast, all float32 [H, W].

    Attributes:
        hu: HU without contrast.
        brain_blood: Blood volume (ml/ml) that the arteries of the brain feed.
        outer_blood: The same of the external carotid: scalp, face, neck and dura.
    """

    hu: Field
    brain_blood: Field
    outer_blood: Field


def slice_tissue(fields: Field, tissue: TissueModel) -> SliceTissue:
    """Compose one slice out of its fields.

    Args:
        fields: float32 [len(Layer), H, W], the layers at the slice's pixels.
        tissue: The model that they were sampled from.
    """
    cavity = np.minimum(fields[Layer.VAULT], fields[Layer.BASE])
    hu, outer = _soft_parts(fields)
    inner_hu, brain = _brain(fields, cavity, np.float32(tissue.atrophy))
    share = _coverage(cavity)
    hu += share * (inner_hu - hu)
    dura = DURA_BLOOD * _coverage(fields[Layer.MEMBRANE])
    outer += share * (dura - outer)
    bloodless = _put_bone(hu, fields, tissue)
    bloodless = np.maximum(bloodless, _put_air(hu, fields))
    return SliceTissue(hu, brain * share * (1 - bloodless), outer * (1 - bloodless))


def _soft_parts(fields: Field) -> tuple[Field, Field]:
    """Scalp, face and neck: skin, and a mottle of fat and muscle, in air."""
    scalp = fields[Layer.SCALP]
    muscle = np.clip(0.62 + fields[Layer.TEXTURE] * 0.45 + (scalp - 7) * 0.04, 0, 1)
    skin = np.clip(SKIN_MM - scalp, 0, 1)
    soft = FAT_HU + (MUSCLE_HU - FAT_HU) * np.maximum(muscle, skin)
    hu = AIR_HU + _coverage(scalp) * (soft - AIR_HU)
    return hu, muscle * np.float32(SOFT_BLOOD)


def _brain(fields: Field, cavity: Field, atrophy: np.float32) -> tuple[Field, Field]:
    """CSF, grey and white matter, falx and tentorium: HU, and blood of the brain."""
    pial = pial_depth_mm(fields, cavity, atrophy)
    ribbon = np.clip((RIBBON_MM - pial) / 1.6 + 0.5, 0, 1)
    grey = np.maximum(ribbon, _coverage(fields[Layer.NUCLEI]))
    matter = WHITE_HU + (GREY_HU - WHITE_HU) * grey + TEXTURE_HU * fields[Layer.TEXTURE]
    share = _coverage(np.minimum(pial, -fields[Layer.VENTRICLE]))
    membrane = _coverage(fields[Layer.MEMBRANE])
    hu = CSF_HU + share * (matter - CSF_HU)
    hu += membrane * (DURA_HU - hu)
    blood = share * (WHITE_BLOOD + (GREY_BLOOD - WHITE_BLOOD) * grey)
    return np.asarray(hu, np.float32), np.asarray(blood, np.float32)


def pial_depth_mm(fields: Field, cavity: Field, atrophy: np.float32) -> Field:
    """Return the depth below the surface of the brain, that of its sulci included."""
    gap = 1.2 + 1.6 * atrophy
    depth = np.minimum(cavity - gap, -fields[Layer.FISSURE])
    fold = np.abs(fields[Layer.FOLDS]) * np.float32(FOLD_MM_PER_SD)
    deep = np.clip(depth - FOLDS_END_MM, 0, 60) * np.float32(0.5)
    sulcus = fold - (0.35 + 0.5 * atrophy) + deep
    return np.asarray(np.minimum(depth, sulcus), np.float32)


def _put_bone(hu: Field, fields: Field, tissue: TissueModel) -> Field:
    """Put vault, base and all other bone into a slice, in place; return its share."""
    texture = fields[Layer.TEXTURE]
    wall = wall_depth_mm(fields, tissue)
    middle = np.clip((wall - TABLE_MM) / 0.8, 0, 1)
    bone_hu = TABLE_HU + middle * (DIPLOE_HU - TABLE_HU + DIPLOE_TEXTURE_HU * texture)
    share = _coverage(wall)
    hu += share * (bone_hu - hu)
    extra = _coverage(fields[Layer.EXTRA_BONE] + 0.4 * texture)
    core = np.clip((fields[Layer.EXTRA_BONE] - 2) / 2, 0, 1)
    hu += extra * (SPONGY_HU + SPONGY_TEXTURE_HU * texture + DENSE_EXTRA_HU * core - hu)
    return np.maximum(share, extra)


def wall_depth_mm(fields: Field, tissue: TissueModel) -> Field:
    """Return the depth within the bone of vault and base, positive inside."""
    outer = np.minimum(fields[Layer.VAULT] + tissue.skull_mm, fields[Layer.BASE] + tissue.base_mm)
    return np.asarray(
        np.minimum(outer, -np.minimum(fields[Layer.VAULT], fields[Layer.BASE])), np.float32
    )


def _put_air(hu: Field, fields: Field) -> Field:
    """Put air into a slice, in place; return its share."""
    air = _coverage(fields[Layer.AIR])
    hu += air * (AIR_HU - hu)
    return air


def _coverage(distance_mm: Field) -> Field:
    """Return the share of a pixel that lies inside of a border at some distance."""
    return np.asarray(np.clip(distance_mm * np.float32(1 / EDGE_MM) + 0.5, 0, 1), np.float32)
