# SPDX-License-Identifier: Apache-2.0
"""Synthetic scans for the tests: a NIfTI writer of our own, stored volumes, and a small head.

The writer knows nothing of the code under test, and nothing but NumPy, so that the runtime's tests
also run where only the runtime is installed. nibabel judges it in `test_nifti_oracle.py`.
"""

import gzip
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

_DATATYPE_CODES = {
    "u1": 2,
    "i2": 4,
    "i4": 8,
    "f4": 16,
    "f8": 64,
    "i1": 256,
    "u2": 512,
    "u4": 768,
    "i8": 1024,
    "u8": 1280,
}
_NIFTI_1_FIELDS = {
    "sizeof_hdr": ("i", 0),
    "dim": ("8h", 40),
    "datatype": ("h", 70),
    "bitpix": ("h", 72),
    "pixdim": ("8f", 76),
    "vox_offset": ("f", 108),
    "scl_slope": ("f", 112),
    "scl_inter": ("f", 116),
    "xyzt_units": ("B", 123),
    "descrip": ("80s", 148),
    "qform_code": ("h", 252),
    "sform_code": ("h", 254),
    "quatern": ("3f", 256),
    "qoffset": ("3f", 268),
    "srow": ("12f", 280),
    "magic": ("4s", 344),
}
_NIFTI_2_FIELDS = {
    "sizeof_hdr": ("i", 0),
    "magic": ("8s", 4),
    "datatype": ("h", 12),
    "bitpix": ("h", 14),
    "dim": ("8q", 16),
    "pixdim": ("8d", 104),
    "vox_offset": ("q", 168),
    "scl_slope": ("d", 176),
    "scl_inter": ("d", 184),
    "descrip": ("80s", 240),
    "qform_code": ("i", 344),
    "sform_code": ("i", 348),
    "quatern": ("3d", 352),
    "qoffset": ("3d", 376),
    "srow": ("12d", 400),
    "xyzt_units": ("i", 500),
}
_VERSIONS: dict[int, tuple[int, bytes, dict[str, tuple[str, int]]]] = {
    1: (348, b"n+1\0", _NIFTI_1_FIELDS),
    2: (540, b"n+2\0\r\n\x1a\n", _NIFTI_2_FIELDS),
}
LPS_AFFINE = np.array([[-0.5, 0, 0, 60.0], [0, -0.75, 0, 80.0], [0, 0, 1.25, -40.0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class Nifti:
    """A NIfTI file to be: voxels [i, j, k], and whatever shall stand in its header.

    `fields` replaces header fields by name (those of nifti1.h), with values that may be wrong.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64] = field(default_factory=LPS_AFFINE.copy)
    version: int = 1
    byte_order: str = "<"
    extension: bytes = b""
    fields: dict[str, Any] = field(default_factory=dict)

    def with_fields(self, **fields: Any) -> "Nifti":
        return replace(self, fields=self.fields | fields)

    def content(self) -> bytes:
        """Header, extension flag, extension and voxels."""
        return self.head() + self.voxels.astype(self._stored_dtype()).tobytes(order="F")

    def head(self) -> bytes:
        """All in front of the voxels."""
        header_bytes, _, layout = _VERSIONS[self.version]
        raw = bytearray(header_bytes + 4)
        raw[header_bytes] = bool(self.extension)
        for name, value in (self._right_fields() | self.fields).items():
            form, offset = layout[name]
            values = value if isinstance(value, tuple) else (value,)
            struct.pack_into(self.byte_order + form, raw, offset, *values)
        return bytes(raw) + self.extension

    def write(self, path: Path, *, gzipped: bool | None = None) -> Path:
        """Write the file, gzipped by its name unless told otherwise."""
        if gzipped is None:
            gzipped = path.suffix == ".gz"
        content = self.content()
        path.write_bytes(gzip.compress(content, 1, mtime=0) if gzipped else content)
        return path

    def _stored_dtype(self) -> np.dtype[Any]:
        return self.voxels.dtype.newbyteorder(self.byte_order)  # type: ignore[arg-type]

    def _right_fields(self) -> dict[str, Any]:
        header_bytes, magic, _ = _VERSIONS[self.version]
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        qfac, quaternion = _quaternion(self.affine[:3, :3] / spacing)
        return {
            "sizeof_hdr": header_bytes,
            "dim": (3, *self.voxels.shape, 1, 1, 1, 1),
            "datatype": _DATATYPE_CODES[self.voxels.dtype.str[1:]],
            "bitpix": self.voxels.dtype.itemsize * 8,
            "pixdim": (qfac, *spacing, 0, 0, 0, 0),
            "vox_offset": header_bytes + 4 + len(self.extension),
            "scl_slope": 1.0,
            "scl_inter": 0.0,
            "xyzt_units": 2,
            "descrip": b"Doe^John",
            "qform_code": 1,
            "sform_code": 1,
            "quatern": quaternion,
            "qoffset": tuple(self.affine[:3, 3]),
            "srow": tuple(self.affine[:3].ravel()),
            "magic": magic,
        }


def _quaternion(directions: NDArray[np.float64]) -> tuple[float, tuple[float, ...]]:
    """Handedness and rotation (b, c, d) of three unit columns, for any rotation.

    The quaternion is the eigenvector of a symmetric matrix made of the rotation (Bar-Itzhack 2000).
    """
    qfac = 1.0 if np.linalg.det(directions) > 0 else -1.0
    r = directions * np.array([1.0, 1.0, qfac])
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    b, c, d, a = np.linalg.eigh(k)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return qfac, (sign * b, sign * c, sign * d)


@dataclass(frozen=True)
class Storage:
    """A way to store a volume: which canonical axis (0 L, 1 P, 2 S) each stored one follows."""

    axes: tuple[int, int, int]
    reversed_: tuple[bool, bool, bool]

    @property
    def code(self) -> str:
        letters = ("LR", "PA", "SI")
        pairs = zip(self.axes, self.reversed_, strict=True)
        return "".join(letters[axis][turned] for axis, turned in pairs)

    def store(
        self, canonical: NDArray[Any], affine: NDArray[np.float64]
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Turn [Z, H, W] and its affine into stored voxels [i, j, k] and theirs."""
        xyz = canonical.transpose(2, 1, 0)
        stored = xyz.transpose(self.axes)
        turned_axes = tuple(axis for axis in range(3) if self.reversed_[axis])
        columns, origin = [], affine[:, 3].copy()
        for axis, turned in zip(self.axes, self.reversed_, strict=True):
            columns.append(-affine[:, axis] if turned else affine[:, axis])
            origin += affine[:, axis] * (xyz.shape[axis] - 1) * turned
        return np.flip(stored, turned_axes), np.stack([*columns, origin], axis=1)


ALL_STORAGES = [
    Storage(axes=(axes[0], axes[1], axes[2]), reversed_=(flips[0], flips[1], flips[2]))
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


@pytest.fixture
def nifti() -> type[Nifti]:
    return Nifti


@pytest.fixture
def storages() -> list[Storage]:
    return ALL_STORAGES


@pytest.fixture
def small_hu() -> NDArray[np.int16]:
    """An odd-sized volume without any symmetry, int16 [Z, H, W] = [3, 7, 5]."""
    rng = np.random.default_rng(7)
    return rng.integers(-1000, 2000, size=(3, 7, 5), dtype=np.int16)


@pytest.fixture
def small_affine() -> NDArray[np.float64]:
    """Canonical (column, row, slice) to RAS mm of `small_hu`; its voxels are 0.5, 0.75, 1.25 mm."""
    return LPS_AFFINE.copy()


@pytest.fixture
def small_nifti(small_hu: NDArray[np.int16], small_affine: NDArray[np.float64]) -> Nifti:
    return Nifti(voxels=small_hu.transpose(2, 1, 0), affine=small_affine)


@pytest.fixture(
    params=[(1, "<"), (1, ">"), (2, "<"), (2, ">")], ids=lambda form: f"NIfTI-{form[0]}{form[1]}"
)
def any_nifti(request: pytest.FixtureRequest, small_nifti: Nifti) -> Nifti:
    """`small_nifti` in both versions and byte orders."""
    version, byte_order = request.param
    return replace(small_nifti, version=version, byte_order=byte_order)


@pytest.fixture
def stored_alike(
    small_hu: NDArray[np.int16], small_affine: NDArray[np.float64]
) -> Callable[..., dict[str, Nifti]]:
    """The 48 ways to store `small_hu`, by orientation code; arguments go to `Nifti`."""

    def store(**options: Any) -> dict[str, Nifti]:
        images = {}
        for storage in ALL_STORAGES:
            voxels, affine = storage.store(small_hu, small_affine)
            images[storage.code] = Nifti(voxels=voxels, affine=affine, **options)
        return images

    return store


HEAD_SHAPE = (36, 96, 96)  # (Z, H, W)
HEAD_SPACING_MM = (2.4, 2.4, 5.0)  # 230 x 230 mm in plane, 180 mm along the body


@pytest.fixture(scope="session")
def head_hu() -> NDArray[np.int16]:
    """A head as int16 HU [Z, H, W]: scalp, skull, brain, an artery, noise, air around it."""
    depth, height, width = HEAD_SHAPE
    z, y, x = np.ogrid[:depth, :height, :width]
    radius = np.sqrt(
        ((x - width / 2) * 2.4 / 78) ** 2
        + ((y - height / 2) * 2.4 / 95) ** 2
        + ((z - depth / 2) * 5.0 / 85) ** 2
    )
    hu = np.full(HEAD_SHAPE, -1000.0)
    hu[radius < 1.0] = 45  # scalp
    hu[radius < 0.95] = 1100  # skull
    hu[radius < 0.88] = 35  # brain
    hu[:, 46:48, 46:48] = np.where(radius[:, 46:48, 46:48] < 0.8, 400, hu[:, 46:48, 46:48])
    hu += np.random.default_rng(1).normal(0, 10, HEAD_SHAPE)
    return np.rint(hu).clip(-1024, 3071).astype(np.int16)


@pytest.fixture(scope="session")
def head_affine() -> NDArray[np.float64]:
    """Canonical (column, row, slice) to RAS mm of `head_hu`."""
    return np.array([[-2.4, 0, 0, 115.0], [0, -2.4, 0, 115.0], [0, 0, 5.0, -90.0], [0, 0, 0, 1]])


@pytest.fixture
def write_scan(head_affine: NDArray[np.float64]) -> Callable[..., Path]:
    """Write canonical voxels [Z, H, W] as a NIfTI file on the head's grid."""

    def write(path: Path, canonical: NDArray[Any], **fields: Any) -> Path:
        voxels = canonical.transpose(2, 1, 0)
        return Nifti(voxels=voxels, affine=head_affine, fields=fields).write(path)

    return write


@pytest.fixture
def patient_folder(
    tmp_path: Path, head_hu: NDArray[np.int16], write_scan: Callable[..., Path]
) -> Path:
    """A patient with three phases, a SPIRAL map, an atlas and a clot in region 4."""
    folder = tmp_path / "cohort" / "patient_07"
    folder.mkdir(parents=True)
    for stem in ("CTA1", "CTA2regA", "CTA3regA"):
        write_scan(folder / f"{stem}.nii.gz", head_hu)
    spiral = np.where(head_hu > 30, 500, 0).astype(np.int16)
    write_scan(folder / "SpiralregA.nii.gz", spiral, scl_slope=0.001)
    columns = np.arange(HEAD_SHAPE[2]) * 15 // HEAD_SHAPE[2]
    atlas = np.broadcast_to(columns, HEAD_SHAPE).astype(np.int16)
    write_scan(folder / "ATLASMASKregA.nii.gz", atlas)
    clot = np.zeros(HEAD_SHAPE, np.int16)
    clot[20, 46:48, 26:30] = 1
    write_scan(folder / "patient_07_clot.nii.gz", clot)
    return folder
