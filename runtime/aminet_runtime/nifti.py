# SPDX-License-Identifier: Apache-2.0
"""The header of a NIfTI file, every field checked before anything depends on it.

All sizes are checked as Python numbers before anything is allocated by them, and
`aminet_runtime.orientation` checks where the voxels lie. What the standard allows and we cannot
read is refused; what it forbids is refused too, and nothing is repaired. Texts of the header
(description, intent, extensions) may name a patient and are never looked at.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aminet_runtime.errors import AminetError, InputUnsupported
from aminet_runtime.nifti_layout import NiftiFields, unpack_fields
from aminet_runtime.orientation import Affine, known_affine

MAX_AXIS_VOXELS = 4096  # eight times the usual matrix
MAX_VOXELS = 2**31  # 1024 x 1024 x 2048; a whole-body scan has 512 x 512 x 2000
MIN_DATA_OFFSET_BYTES = {1: 352, 2: 544}  # header and the four bytes of the extension flag
MAX_DATA_OFFSET_BYTES = 16 * 2**20  # extensions in use hold kilobytes
MIN_SPACING_MM = 0.01  # outside of these two the unit is wrong
MAX_SPACING_MM = 100.0
MAX_COORDINATE_MM = 1e6  # heads lie within metres of the origin
MAX_SCALE = 1e18  # with it, every stored integer stays inside float32
QUATERNION_TOLERANCE = 1e-5  # of a length that must not exceed 1
QUATERNION_ROUNDING = 3.6e-7  # of three float32 squares, 3 epsilon as in nibabel

_DTYPES: dict[int, np.dtype[np.generic]] = {
    2: np.dtype(np.uint8),
    4: np.dtype(np.int16),
    8: np.dtype(np.int32),
    16: np.dtype(np.float32),
    64: np.dtype(np.float64),
    256: np.dtype(np.int8),
    512: np.dtype(np.uint16),
    768: np.dtype(np.uint32),
    1024: np.dtype(np.int64),
    1280: np.dtype(np.uint64),
}
_UNREADABLE_DATATYPES = {
    0: "unknown",
    1: "bitmap",
    32: "complex64",
    128: "RGB",
    1536: "float128",
    1792: "complex128",
    2048: "complex256",
    2304: "RGBA",
}
_TRANSFORM_CODES = range(6)  # unknown, scanner, aligned, Talairach, MNI, other template
_SPATIAL_UNIT_BITS = 0b111
_MILLIMETRES = (0, 2)  # not stated (mm by convention) and mm; 1 is metre, 3 is micrometre
_CONVERT_HINT = "convert the scan again, for example with dcm2niix"


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHeader:
    """What is needed to read the voxels and to place them; valid once built.

    Attributes:
        version: 1 or 2.
        shape: Voxels along the stored axes (i, j, k), i fastest.
        dtype: Type of the stored voxels, with their byte order.
        slope: Factor from stored to real values (HU), 1 where the file asks for no scaling.
        intercept: Added after the factor, 0 where the file asks for no scaling.
        affine: float64 [4, 4], read-only, stored index (i, j, k, 1) to RAS mm.
        spacing_mm: Voxel size along (i, j, k), to 1 nm, so that float32 and float64 headers agree.
        data_offset: Where the voxels start, in (inflated) bytes.
    """

    version: int
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    slope: float
    intercept: float
    affine: Affine
    spacing_mm: tuple[float, float, float]
    data_offset: int

    @property
    def is_scaled(self) -> bool:
        """Whether real values are not the stored ones."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def slice_bytes(self) -> int:
        """Size of one stored slice."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    @property
    def data_bytes(self) -> int:
        """Size of all stored slices."""
        return self.slice_bytes * self.shape[2]


def parse_header(raw: bytes, *, path: Path | None = None) -> NiftiHeader:
    """Check a NIfTI header, and keep what is needed.

    Args:
        raw: The first 348 (NIfTI-1) or 540 bytes (NIfTI-2) of the inflated file, or more.
        path: The file, for messages.

    Raises:
        InputDamaged: The bytes end inside the header.
        InputUnsupported: It is no NIfTI single file, or something in it is wrong or not read here.
    """
    with naming(path):
        fields = unpack_fields(raw)
        spacing_mm = _spacing_mm(fields)
        slope, intercept = _scaling(fields)
        return NiftiHeader(
            version=fields.version,
            shape=_shape(fields.dim),
            dtype=_dtype(fields),
            slope=slope,
            intercept=intercept,
            affine=_affine(fields, spacing_mm=spacing_mm),
            spacing_mm=spacing_mm,
            data_offset=_data_offset(fields),
        )


@contextmanager
def naming(path: Path | None) -> Iterator[None]:
    """Name the file in errors of code that does not know it."""
    try:
        yield
    except AminetError as error:
        error.path = path
        raise


def _spacing_mm(fields: NiftiFields) -> tuple[float, float, float]:
    if fields.units & _SPATIAL_UNIT_BITS not in _MILLIMETRES:
        raise InputUnsupported(
            f"the header does not count in millimetres (unit code {fields.units})",
            case=10,
            hint=_CONVERT_HINT,
        )
    sizes = fields.pixdim[1:4]
    if not all(MIN_SPACING_MM <= size <= MAX_SPACING_MM for size in sizes):
        stated = " x ".join(f"{size:.4g}" for size in sizes)
        raise InputUnsupported(
            f"the voxel size {stated} mm is outside of {MIN_SPACING_MM:g}..{MAX_SPACING_MM:g} mm",
            case=11,
            hint=_CONVERT_HINT,
        )
    return round(sizes[0], 6), round(sizes[1], 6), round(sizes[2], 6)


def _scaling(fields: NiftiFields) -> tuple[float, float]:
    """Read slope and intercept; a slope of 0 or NaN means that the stored values are real."""
    slope, intercept = fields.slope, fields.intercept
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if not (1 / MAX_SCALE <= abs(slope) <= MAX_SCALE and abs(intercept) <= MAX_SCALE):
        raise InputUnsupported(
            f"the scaling (slope {slope:g}, intercept {intercept:g}) is not usable",
            case=9,
            hint=_CONVERT_HINT,
        )
    return slope, intercept


def _shape(dim: tuple[int, ...]) -> tuple[int, int, int]:
    """Accept three axes, and further ones of length 1."""
    axes = dim[0]
    if not 3 <= axes <= 7 or any(length != 1 for length in dim[4 : axes + 1]):
        raise InputUnsupported(
            f"the image is no single volume (dim is {', '.join(map(str, dim))})",
            case=4,
            hint="save one 3-D volume a file",
        )
    shape = (dim[1], dim[2], dim[3])
    if not all(1 <= length <= MAX_AXIS_VOXELS for length in shape) or math.prod(shape) > MAX_VOXELS:
        raise InputUnsupported(
            f"the size {shape[0]} x {shape[1]} x {shape[2]} is outside of 1..{MAX_AXIS_VOXELS} "
            f"an axis and {MAX_VOXELS} voxels in all",
            case=5,
            hint=_CONVERT_HINT,
        )
    return shape


def _dtype(fields: NiftiFields) -> np.dtype[np.generic]:
    dtype = _DTYPES.get(fields.datatype)
    if dtype is None:
        name = _UNREADABLE_DATATYPES.get(fields.datatype, "not in the standard")
        raise InputUnsupported(
            f"the datatype {fields.datatype} ({name}) is not read",
            case=6,
            hint="save the voxels as int16 or another plain number",
        )
    if fields.bits != dtype.itemsize * 8:
        raise InputUnsupported(
            f"the header states {fields.bits} bits a voxel, but {dtype} has {dtype.itemsize * 8}",
            case=7,
            hint=_CONVERT_HINT,
        )
    return dtype.newbyteorder(fields.byte_order)


def _affine(fields: NiftiFields, *, spacing_mm: tuple[float, float, float]) -> Affine:
    _require_known_codes(fields)
    affine = known_affine(
        qform=_qform(fields) if fields.qform_code else None,
        sform=_sform(fields) if fields.sform_code else None,
        spacing_mm=spacing_mm,
    )
    affine.flags.writeable = False
    return affine


def _require_known_codes(fields: NiftiFields) -> None:
    for name, code in (("qform", fields.qform_code), ("sform", fields.sform_code)):
        if code not in _TRANSFORM_CODES:
            raise InputUnsupported(
                f"the {name} code {code} is not in the standard", case=12, hint=_CONVERT_HINT
            )


def _qform(fields: NiftiFields) -> Affine:
    """Turn quaternion, qfac and pixdim into an affine.

    Source: nifti1.h, "method 2".
    """
    _require_placeable("qform", (*fields.quaternion, *fields.origin))
    b, c, d = fields.quaternion
    qfac = fields.pixdim[0]
    squares = b * b + c * c + d * d
    if squares > 1 + QUATERNION_TOLERANCE or qfac not in (-1.0, 0.0, 1.0):
        raise InputUnsupported(
            f"the qform is no rotation (quaternion {b:.4g}, {c:.4g}, {d:.4g}, qfac {qfac:g})",
            case=13,
            hint=_CONVERT_HINT,
        )
    affine = np.eye(4)
    a = math.sqrt(1.0 - squares) if squares < 1.0 - QUATERNION_ROUNDING else 0.0
    affine[:3, :3] = _rotation(a, b, c, d)
    affine[:3, :3] *= np.array(fields.pixdim[1:4])  # columns
    affine[:3, 2] *= -1.0 if qfac == -1.0 else 1.0  # 0 means 1
    affine[:3, 3] = fields.origin
    return affine


def _require_placeable(name: str, values: tuple[float, ...]) -> None:
    if not all(abs(value) <= MAX_COORDINATE_MM for value in values):  # false for NaN too
        raise InputUnsupported(
            f"the {name} holds values that are not finite or beyond {MAX_COORDINATE_MM:g} mm",
            case=14,
            hint=_CONVERT_HINT,
        )


def _rotation(a: float, b: float, c: float, d: float) -> Affine:
    length = math.sqrt(a * a + b * b + c * c + d * d)
    a, b, c, d = a / length, b / length, c / length, d / length
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _sform(fields: NiftiFields) -> Affine:
    _require_placeable("sform", fields.sform_rows)
    return np.array([*fields.sform_rows, 0.0, 0.0, 0.0, 1.0]).reshape(4, 4)


def _data_offset(fields: NiftiFields) -> int:
    """Check where the voxels start; between the header and them lie the extensions."""
    offset, lowest = fields.vox_offset, MIN_DATA_OFFSET_BYTES[fields.version]
    if not lowest <= offset <= MAX_DATA_OFFSET_BYTES or offset != int(offset):
        raise InputUnsupported(
            f"the voxels start at byte {offset:g}, outside of {lowest}..{MAX_DATA_OFFSET_BYTES}",
            case=8,
            hint=_CONVERT_HINT,
        )
    return int(offset)
