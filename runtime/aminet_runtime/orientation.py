# SPDX-License-Identifier: Apache-2.0
"""From stored axes to canonical LPS slices, or a refusal where the orientation is not certain.

A NIfTI file maps its voxel indices (i, j, k) to RAS millimetres: x grows to the patient's right, y
to anterior, z to superior. It may say so twice, in the qform (where the scanner saw the patient)
and in the sform (where a registration put him). A swapped side moves a clot into the other
hemisphere and leaves no other trace, so a file that leaves a doubt is refused; nothing is repaired.

Arrays of stored voxels are indexed [k, j, i] here, as they lie in the file with i fastest.
Canonical arrays are [Z, H, W]: slice 0 is the lowest, rows run from anterior to posterior, columns
from the patient's right to left.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputUnsupported

Affine = NDArray[np.float64]
_Voxel = TypeVar("_Voxel", bound=np.generic)

MAX_OBLIQUITY_DEG = 35.0  # gantries tilt by up to 30; from 45 on an axis has no name
MAX_SHEAR_DEG = 1.0  # float32 headers are right to 0.01; an uncorrected gantry tilt is 5 to 30
MAX_TRANSFORM_ANGLE_DEG = 15.0  # a registration may turn a head a little against the scanner
SPACING_TOLERANCE = 0.01  # relative; sform, qform and pixdim state the same voxel size

_RAS_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
_RESAVE_HINT = "convert the scan again from its DICOM files, for example with dcm2niix"


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the stored axes lie in the patient.

    Attributes:
        axes: The stored axis (0 is i, 1 is j, 2 is k) that runs along left-right,
            posterior-anterior and inferior-superior, in this order.
        flipped: For the same three, whether the stored axis runs against the canonical one, that
            is, to the right, to anterior or to inferior.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @classmethod
    def of(cls, affine: Affine) -> "Orientation":
        """Name the axes of an affine that `known_affine` let pass.

        Args:
            affine: [4, 4], stored voxel index (i, j, k, 1) to RAS mm.
        """
        directions = _directions(affine)
        nearest = [int(np.argmax(np.abs(directions[:, stored]))) for stored in range(3)]
        axes = (nearest.index(0), nearest.index(1), nearest.index(2))
        towards_ras = [bool(directions[world, axes[world]] > 0) for world in range(3)]
        return cls(axes=axes, flipped=(towards_ras[0], towards_ras[1], not towards_ras[2]))

    @property
    def code(self) -> str:
        """Where the three stored axes run to, for example `RAS`."""
        letters = ["", "", ""]
        for world, stored in enumerate(self.axes):
            against_ras = self.flipped[world] == (world == 2)
            letters[stored] = _RAS_LETTERS[world][against_ras]
        return "".join(letters)

    @property
    def is_axial(self) -> bool:
        """Whether each stored slice (one k) is an axial one, so that slices can stream."""
        return self.axes[2] == 2

    @property
    def runs_upward(self) -> bool:
        """Whether the stored axis along the body starts at its lower end."""
        return not self.flipped[2]

    def canonical_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Turn a stored shape (i, j, k) into the canonical one (Z, H, W)."""
        left, posterior, superior = self.axes
        return shape[superior], shape[posterior], shape[left]

    def canonical_spacing(self, spacing: tuple[float, float, float]) -> tuple[float, float, float]:
        """Turn a stored spacing (i, j, k) into the canonical one (x, y, z), both in mm."""
        left, posterior, superior = self.axes
        return spacing[left], spacing[posterior], spacing[superior]

    def canonical_view(self, stored: NDArray[_Voxel]) -> NDArray[_Voxel]:
        """View stored voxels in canonical orientation, without a copy.

        Args:
            stored: [k, j, i], one slice (k = 1) or the whole volume.

        Returns:
            [Z, H, W], a view of the same memory.
        """
        left, posterior, superior = self.axes
        turned = stored.transpose(2 - superior, 2 - posterior, 2 - left)  # [k, j, i] -> [Z, H, W]
        steps = [-1 if flipped else 1 for flipped in self.flipped]
        return turned[:: steps[2], :: steps[1], :: steps[0]]

    def canonical_affine(self, affine: Affine, *, shape: tuple[int, int, int]) -> Affine:
        """Let an affine start from canonical indices.

        Args:
            affine: [4, 4], stored index (i, j, k, 1) to RAS mm.
            shape: Stored shape (i, j, k).

        Returns:
            [4, 4], canonical index (column x, row y, slice z, 1) to RAS mm.
        """
        to_stored = np.zeros((4, 4))
        to_stored[3, 3] = 1.0
        for canonical, (stored, flipped) in enumerate(zip(self.axes, self.flipped, strict=True)):
            to_stored[stored, canonical] = -1.0 if flipped else 1.0
            to_stored[stored, 3] = shape[stored] - 1 if flipped else 0
        return affine @ to_stored


def known_affine(
    *,
    qform: Affine | None,
    sform: Affine | None,
    spacing_mm: tuple[float, float, float],
) -> Affine:
    """Choose the affine that tells where the voxels lie, or refuse the file.

    The sform wins where both are there, as in all common readers. The two may have different
    origins and differ by a small turn, as after a registration, but may not disagree about which
    side is which.

    Args:
        qform: [4, 4] to RAS mm, None where its code is 0 (unknown).
        sform: [4, 4] to RAS mm, None where its code is 0 (unknown).
        spacing_mm: The voxel size (i, j, k) that the header states beside the transforms.

    Returns:
        [4, 4], stored voxel index (i, j, k, 1) to RAS mm.

    Raises:
        InputUnsupported: Neither is known, one is no rigid placement of right-angled voxels of the
            stated size, its slices are oblique, or the two contradict each other.
    """
    stated = {"sform": sform, "qform": qform}
    known = {name: affine for name, affine in stated.items() if affine is not None}
    if not known:
        raise InputUnsupported(
            "the header does not say how the patient lies (qform and sform codes are both 0)",
            case=20,
            hint=_RESAVE_HINT,
        )
    for name, affine in known.items():
        _require_stated_spacing(affine, spacing_mm=spacing_mm, name=name)
        _require_right_angles(affine, name=name)
        _require_named_axes(affine, name=name)
    if len(known) == 2:
        _require_agreement(known["qform"], known["sform"])
    return next(iter(known.values()))


def _require_stated_spacing(
    affine: Affine, *, spacing_mm: tuple[float, float, float], name: str
) -> None:
    """Compare the length of each axis with pixdim; this finds flattened (singular) axes too."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.allclose(lengths, spacing_mm, rtol=SPACING_TOLERANCE, atol=0.0):
        measured = " x ".join(f"{length:.4g}" for length in lengths)
        stated = " x ".join(f"{spacing:.4g}" for spacing in spacing_mm)
        raise InputUnsupported(
            f"the {name} has voxels of {measured} mm, but pixdim says {stated} mm",
            case=22,
            hint=_RESAVE_HINT,
        )


def _require_right_angles(affine: Affine, *, name: str) -> None:
    directions = _directions(affine)
    off_diagonal = directions.T @ directions - np.eye(3)
    shear_deg = math.degrees(math.asin(min(1.0, float(np.abs(off_diagonal).max()))))
    if shear_deg > MAX_SHEAR_DEG:
        raise InputUnsupported(
            f"the axes of the {name} are {shear_deg:.1f} degrees off the right angle, "
            f"{MAX_SHEAR_DEG:.0f} is allowed",
            case=23,
            hint="resample the scan to right-angled voxels (gantry tilt correction)",
        )


def _require_named_axes(affine: Affine, *, name: str) -> None:
    """Ask that each stored axis is near one axis of the patient; then no two share the same."""
    cosines = np.abs(_directions(affine)).max(axis=0)
    tilt_deg = math.degrees(math.acos(min(1.0, float(cosines.min()))))
    if tilt_deg > MAX_OBLIQUITY_DEG:
        raise InputUnsupported(
            f"the {name} is oblique: an axis is {tilt_deg:.0f} degrees off the patient's axes, "
            f"{MAX_OBLIQUITY_DEG:.0f} is allowed",
            case=24,
            hint="resample the scan to axial slices",
        )


def _require_agreement(qform: Affine, sform: Affine) -> None:
    codes = {"qform": Orientation.of(qform).code, "sform": Orientation.of(sform).code}
    if codes["qform"] != codes["sform"]:
        raise InputUnsupported(
            f"the qform says {codes['qform']}, but the sform says {codes['sform']}",
            case=25,
            hint=_RESAVE_HINT,
        )
    cosines = np.sum(_directions(qform) * _directions(sform), axis=0)
    angle_deg = math.degrees(math.acos(min(1.0, float(cosines.min()))))
    if angle_deg > MAX_TRANSFORM_ANGLE_DEG:
        raise InputUnsupported(
            f"qform and sform are turned by {angle_deg:.0f} degrees against each other, "
            f"{MAX_TRANSFORM_ANGLE_DEG:.0f} are allowed",
            case=26,
            hint="resample the scan, so that one transform holds",
        )


def _directions(affine: Affine) -> Affine:
    """Scale the three columns of the affine to length 1."""
    rotation = affine[:3, :3]
    directions: Affine = rotation / np.linalg.norm(rotation, axis=0)
    return directions
