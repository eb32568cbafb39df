# SPDX-License-Identifier: Apache-2.0
"""The six files of a patient, streamed slice by slice, and the truth beside them."""

import json
import struct
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aminet_benchmarks.phantom.atlas import REGION_NAMES
from aminet_benchmarks.phantom.patient import PhantomPatient
from aminet_benchmarks.phantom.render import SPIRAL_SLOPE, PhantomSlice
from aminet_benchmarks.phantom.version import GENERATOR_VERSION
from aminet_runtime.publish import as_output_errors, publish_folder

TRUTH_FILE = "phantom.json"
GZIP_LEVEL = 1
GZIP_WINDOW_BITS = 31  # a gzip wrapper; its time stamp stays 0, so same voxels give same bytes
DATATYPE: Final = {"u1": (2, 8), "<i2": (4, 16)}  # NIfTI-1 datatype and bitpix
SCANNER_ANAT = 1  # NIfTI-1 form code
UNITS_MM_S = 10


@dataclass(frozen=True, slots=True)
class _FileKind:
    stem: str
    dtype: str
    slope: float = 1.0


PHASE_FILES = (
    _FileKind("CTA1", "<i2"),
    _FileKind("CTA2regA", "<i2"),
    _FileKind("CTA3regA", "<i2"),
)
SPIRAL_FILE = _FileKind("SpiralregA", "<i2", slope=float(SPIRAL_SLOPE))
ATLAS_FILE = _FileKind("ATLASMASKregA", "u1")
CLOT_SUFFIX = "_clot"


def write_patient(patient: PhantomPatient, folder: Path) -> None:
    """Write the six files of a patient and `phantom.json`; the folder appears once it is whole.

    Args:
        patient: Whom to write.
        folder: New folder; its name is the patient's id.

    Raises:
        OutputExists: There is a folder of this name with something in it.
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    with publish_folder(folder) as building:
        labels = _write_volumes(patient, building, folder.name)
        truth = json.dumps(describe(patient, labels), indent=2) + "\n"
        with as_output_errors(folder):
            (building / TRUTH_FILE).write_text(truth, encoding="utf-8")


def describe(patient: PhantomPatient, labels: NDArray[np.uint8]) -> dict[str, object]:
    """Return what `phantom.json` holds: how the patient was made, and the truth.

    Args:
        patient: Whom to describe.
        labels: uint8 [Z, 15], the patient's labels.
    """
    regions = np.flatnonzero(labels.any(axis=0))
    return {
        "schema": "aminet.phantom/1",
        "generator_version": GENERATOR_VERSION,
        "seed": patient.seed,
        "twin": patient.twin,
        "config": _plain(asdict(patient.config)),
        "anatomy": patient.anatomy.origin.as_json(),
        "spacing_mm": list(patient.grid.spacing_mm),
        "bolus": asdict(patient.flow.bolus),
        "regions": [int(region) for region in regions],
        "region_names": [REGION_NAMES[region] for region in regions],
        "positive_pairs": int(labels.sum()),
        "clots": [
            {
                "place": str(clot.place),
                "side": {1: "right", -1: "left", 0: "midline"}[clot.side],
                "medium_vessel": clot.is_medium,
                "length_mm": round(clot.length_mm, 1),
                "hu": round(clot.hu, 1),
                "perviousness": round(clot.perviousness, 3),
                "collateral_grade": clot.collateral_grade,
                "value": clot.value,
            }
            for clot in patient.clots
        ],
        "notice": "A digital phantom. Results on phantoms say nothing about patients.",
    }


def _plain(value: object) -> object:
    """Turn tuples into lists, as JSON has no tuples."""
    return json.loads(json.dumps(value))


def _write_volumes(patient: PhantomPatient, folder: Path, name: str) -> NDArray[np.uint8]:
    kinds = (*PHASE_FILES, SPIRAL_FILE, ATLAS_FILE, _FileKind(name + CLOT_SUFFIX, "u1"))
    labels = np.zeros((patient.grid.shape[2], len(REGION_NAMES)), np.uint8)
    with ExitStack() as stack:
        writers = [stack.enter_context(_VolumeWriter(folder, kind, patient)) for kind in kinds]
        for rendered in patient.slices():
            for writer, plane in zip(writers, _stored_planes(rendered), strict=True):
                writer.write(plane)
            labels[rendered.index, np.unique(rendered.atlas[rendered.clot > 0])] = 1
    return labels


def _stored_planes(rendered: PhantomSlice) -> list[NDArray[np.int16] | NDArray[np.uint8]]:
    assert rendered.spiral is not None  # noqa: S101 - slices() was asked for it
    spiral = np.rint(rendered.spiral / SPIRAL_SLOPE)
    return [
        *(plane.astype("<i2") for plane in rendered.phases),
        spiral.astype("<i2"),
        rendered.atlas,
        rendered.clot,
    ]


class _VolumeWriter:
    """A `.nii.gz` that grows slice by slice in the stored orientation."""

    __slots__ = ("_axes", "_compressor", "_file", "_path")

    def __init__(self, folder: Path, kind: _FileKind, patient: PhantomPatient) -> None:
        self._axes = patient.config.stored_axes
        self._compressor = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW_BITS)
        self._path = folder / f"{kind.stem}.nii.gz"
        with as_output_errors(self._path):
            self._file = self._path.open("wb")
        self._append(_header(kind, patient))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with as_output_errors(self._path), self._file:
            if kind is None:
                self._file.write(self._compressor.flush())

    def write(self, plane: NDArray[np.int16] | NDArray[np.uint8]) -> None:
        """Append one canonical slice [H, W]."""
        rows = -1 if self._axes[1] == "A" else 1
        columns = -1 if self._axes[0] == "R" else 1
        stored = np.ascontiguousarray(plane[::rows, ::columns])
        self._append(stored.tobytes())

    def _append(self, data: bytes) -> None:
        with as_output_errors(self._path):
            self._file.write(self._compressor.compress(data))


def _header(kind: _FileKind, patient: PhantomPatient) -> bytes:
    """Return a NIfTI-1 header with matching qform and sform, and the empty extension flag."""
    affine = stored_affine(patient)
    datatype, bits = DATATYPE[kind.dtype]
    spacing = patient.grid.spacing_mm
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *patient.grid.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, datatype, bits)
    quaternion, qfac = _quaternion(affine)
    struct.pack_into("<8f", header, 76, qfac, *spacing, 1, 1, 1, 1)
    struct.pack_into("<f2f", header, 108, 352, kind.slope, 0)
    struct.pack_into("<B", header, 123, UNITS_MM_S)
    struct.pack_into("<2h", header, 252, SCANNER_ANAT, SCANNER_ANAT)
    struct.pack_into("<6f", header, 256, *quaternion, *affine[:3, 3])
    struct.pack_into("<12f", header, 280, *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    return bytes(header)


def stored_affine(patient: PhantomPatient) -> NDArray[np.float64]:
    """Return the affine [4, 4] of the stored voxels to RAS millimetres."""
    columns, rows, _ = patient.grid.shape
    dx, dy, dz = patient.grid.spacing_mm
    x, y, z = patient.grid.origin_mm
    affine = np.diag([-dx, -dy, dz, 1.0])
    affine[:3, 3] = x, y, z
    if patient.config.stored_axes[0] == "R":
        affine[0, 0], affine[0, 3] = dx, x - (columns - 1) * dx
    if patient.config.stored_axes[1] == "A":
        affine[1, 1], affine[1, 3] = dy, y - (rows - 1) * dy
    return affine


def _quaternion(
    affine: NDArray[np.float64],
) -> tuple[tuple[float, float, float], float]:
    """Return (b, c, d) and qfac of an affine without rotation besides flips of x and y."""
    flips = (affine[0, 0] < 0, affine[1, 1] < 0)
    return {
        (False, False): ((0.0, 0.0, 0.0), 1.0),
        (True, True): ((0.0, 0.0, 1.0), 1.0),
        (True, False): ((0.0, 1.0, 0.0), -1.0),
        (False, True): ((1.0, 0.0, 0.0), -1.0),
    }[flips]
