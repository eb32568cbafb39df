# SPDX-License-Identifier: Apache-2.0
"""The format of a prepared cohort: network inputs and labels on disk, one folder a patient.

    PREPARED/
      prepared.json              preprocessing, regions, format version
      splits.json                which patient is in which split
      patients/<id>/
        images.npy     uint8  [n, C, h, w]    network inputs of the kept slices, 255 = 1.0
        kept.npy       int32  [n]             their canonical slice numbers, rising
        labels.npy     uint8  [Z, 15]         labels of all slices, kept or not
        clot_cells.npy uint16 [Z, gh, gw]     bit r set: clot of region r in that grid cell
        patient.json                          voxels, spacing and fingerprint of the scan

Inputs are stored in 8 bits: one step is 2.4 HU of the CTA window, well below the noise.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputDamaged, InputMissing, InputUnsupported
from aminet_runtime.publish import write_whole
from aminet_runtime.regions import Regions
from aminet_train.preprocessing import PreprocessingConfig

SCHEMA = "aminet.prepared/1"
IMAGE_LEVELS = 255
CELL_GRID = (14, 14)
"""Height and width of the clot grid: stride 16 of a 224 x 224 input."""

COHORT_FILE = "prepared.json"
PATIENTS_FOLDER = "patients"
PATIENT_FILE = "patient.json"


@dataclass(frozen=True, slots=True)
class PatientTruth:
    """Where the clot of one patient is.

    Attributes:
        labels: uint8 [Z, 15], 1 where a region holds clot on that slice.
        clot_cells: uint16 [Z, gh, gw], bit r set where clot of region r lies in the cell.
    """

    labels: NDArray[np.uint8]
    clot_cells: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class ScanInfo:
    """The scan that a patient was prepared from.

    Attributes:
        shape: Voxels along x, y and z.
        spacing_mm: Along x, y and z.
        fingerprint: sha256 over its files, to find one scan under two names.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class PreparedPatient:
    """One patient of a prepared cohort; arrays are mapped or read when asked for.

    Attributes:
        patient_id: Name of the patient folder.
        folder: Where the arrays are.
        kept: int32 [n], canonical numbers of the slices whose images are stored.
        truth: Labels of all slices.
        scan: Where it came from.
    """

    patient_id: str
    folder: Path
    kept: NDArray[np.int32]
    truth: PatientTruth
    scan: ScanInfo

    @property
    def fingerprint(self) -> str:
        """sha256 of the scan."""
        return self.scan.fingerprint

    @property
    def slice_count(self) -> int:
        """Number of slices of the volume, kept or not."""
        return int(self.truth.labels.shape[0])

    @property
    def is_complete(self) -> bool:
        """Whether the images of all slices are stored."""
        return len(self.kept) == self.slice_count

    @property
    def kept_labels(self) -> NDArray[np.uint8]:
        """Labels uint8 [n, 15] of the kept slices."""
        return self.truth.labels[self.kept]

    def images(self) -> NDArray[np.uint8]:
        """Map the network inputs uint8 [n, C, h, w] read-only."""
        images: NDArray[np.uint8] = np.load(
            self.folder / "images.npy", mmap_mode="r", allow_pickle=False
        )
        return images


@dataclass(frozen=True, slots=True)
class PreparedCohort:
    """A prepared cohort on disk.

    Attributes:
        root: Its folder.
        preprocessing: What was done to the slices.
        regions: Names and mirror of the 15 regions.
    """

    root: Path
    preprocessing: PreprocessingConfig
    regions: Regions

    @classmethod
    def open(cls, root: Path) -> "PreparedCohort":
        """Open a prepared cohort.

        Raises:
            InputMissing: There is no prepared cohort.
            InputUnsupported: It has another format version.
        """
        values = _read_json(root / COHORT_FILE)
        if values.get("schema") != SCHEMA:
            raise InputUnsupported(
                f"format {values.get('schema')!r}, this version reads {SCHEMA!r}",
                path=root / COHORT_FILE,
                hint="run aminet-prepare again",
            )
        regions = Regions(
            names=tuple(values["regions"]["names"]), mirror=_mirror(values["regions"]["mirror"])
        )
        return cls(root, PreprocessingConfig.from_json(values["preprocessing"]), regions)

    def patient_ids(self) -> list[str]:
        """List the patients by name."""
        folder = self.root / PATIENTS_FOLDER
        return sorted(entry.parent.name for entry in folder.glob(f"[!.]*/{PATIENT_FILE}"))

    def patient(self, patient_id: str) -> PreparedPatient:
        """Open one patient.

        Raises:
            InputMissing: There is no such patient.
            InputDamaged: Its arrays do not fit each other.
        """
        folder = self.root / PATIENTS_FOLDER / patient_id
        values = _read_json(folder / PATIENT_FILE)
        truth = PatientTruth(
            labels=np.load(folder / "labels.npy", allow_pickle=False),
            clot_cells=np.load(folder / "clot_cells.npy", allow_pickle=False),
        )
        kept = np.load(folder / "kept.npy", allow_pickle=False)
        scan = ScanInfo(
            tuple(values["shape"]), tuple(values["spacing_mm"]), str(values["fingerprint"])
        )
        if len(truth.labels) != scan.shape[2] or kept.max(initial=-1) >= len(truth.labels):
            raise InputDamaged(
                "labels and slices disagree", path=folder, hint="delete the folder, prepare again"
            )
        return PreparedPatient(patient_id, folder, kept, truth, scan)


def write_cohort_file(root: Path, preprocessing: PreprocessingConfig, regions: Regions) -> None:
    """Write `prepared.json`, or check that the one that is there says the same.

    Raises:
        InputUnsupported: The folder was prepared with another preprocessing.
    """
    values = {
        "schema": SCHEMA,
        "preprocessing": preprocessing.to_json(),
        "regions": {
            "names": list(regions.names),
            "mirror": regions.mirror and list(regions.mirror),
        },
    }
    path = root / COHORT_FILE
    if path.exists() and _read_json(path) != values:
        raise InputUnsupported(
            "this folder was prepared with other settings", path=path, hint="choose another folder"
        )
    root.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())


def write_patient_arrays(
    folder: Path,
    images: NDArray[np.uint8],
    kept: NDArray[np.int32],
    *,
    truth: PatientTruth,
    scan: ScanInfo,
) -> None:
    """Write the files of one patient into an existing folder, `patient.json` last."""
    np.save(folder / "images.npy", images, allow_pickle=False)
    np.save(folder / "kept.npy", kept, allow_pickle=False)
    np.save(folder / "labels.npy", truth.labels, allow_pickle=False)
    np.save(folder / "clot_cells.npy", truth.clot_cells, allow_pickle=False)
    (folder / PATIENT_FILE).write_text(json.dumps(asdict(scan), indent=1) + "\n")


def _mirror(values: list[int] | None) -> tuple[int, ...] | None:
    return None if values is None else tuple(values)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError as cause:
        raise InputMissing(
            "there is no prepared data here", path=path, hint="run aminet-prepare first"
        ) from cause
    except ValueError as cause:
        raise InputDamaged(f"not JSON: {cause}", path=path, hint="prepare again") from cause
    if not isinstance(values, dict):
        raise InputDamaged("not a JSON object", path=path, hint="prepare again")
    return values
