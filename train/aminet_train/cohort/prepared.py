# SPDX-License-Identifier: Apache-2.0
"""The format of a prepared cohort: network inputs and labels on disk, one folder a patient.

    PREPARED/
      prepared.json              preprocessing, regions, format version
      splits.json                which patient, or slice, is in which split
      patients/<id>/
        images.npy     uint8   [n, V, h, w]   views of the kept slices, 255 = 1.0
        kept.npy       int32   [n]            their canonical slice numbers, rising
        labels.npy     uint8   [Z, 15]        labels of all slices, kept or not
        clot_cells.npy uint16  [Z, gh, gw]    bit r set: clot of region r in that grid cell
        spiral.npy     float32 [Z, 15]        highest SPIRAL value in each region at full
                                              resolution, 0 where the slice has none of the
                                              region; only where there is a SPIRAL map
        patient.json                          voxels, spacing, fingerprint, group and facts

A view is one channel through one window, resized. Single slices are stored; windows of slices are
put together when they are read. Views are stored in 8 bits: one step is 2.4 HU of the CTA window,
well below the noise.
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
from aminet_train.cohort.arrays import load_array
from aminet_train.cohort.folder_facts import FolderFacts
from aminet_train.cohort.prepared_patient import PatientTruth, PreparedPatient, ScanInfo
from aminet_train.cohort.splits import is_leaking
from aminet_train.preprocessing import PreprocessingConfig
from aminet_train.slice_window import SINGLE_SLICE, SliceWindow

SCHEMA = "aminet.prepared/3"
COHORT_FILE = "prepared.json"
PATIENTS_FOLDER = "patients"
PATIENT_FILE = "patient.json"


@dataclass(frozen=True, slots=True)
class PreparedCohort:
    """A prepared cohort on disk.

    Attributes:
        root: Its folder.
        preprocessing: What was done to the slices.
        regions: Names and mirror of the 15 regions.
        leaking: Whether slices of one patient are on both sides of its splits; False as long as
            it is not split.
    """

    root: Path
    preprocessing: PreprocessingConfig
    regions: Regions
    leaking: bool = False

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
        preprocessing = PreprocessingConfig.from_json(values["preprocessing"])
        return cls(root, preprocessing, regions, leaking=is_leaking(root))

    def patient_ids(self) -> list[str]:
        """List the patients by name."""
        folder = self.root / PATIENTS_FOLDER
        return sorted(entry.parent.name for entry in folder.glob(f"[!.]*/{PATIENT_FILE}"))

    def patient(self, patient_id: str) -> PreparedPatient:
        """Open one patient.

        Raises:
            InputMissing: There is no such patient.
            InputDamaged: Its arrays are not there, not whole, or do not fit each other.
        """
        folder = self.root / PATIENTS_FOLDER / patient_id
        scan = read_scan(folder)
        truth = PatientTruth(
            labels=load_array(folder / "labels.npy"),
            clot_cells=load_array(folder / "clot_cells.npy"),
            spiral=_load_if_there(folder / "spiral.npy"),
        )
        kept = load_array(folder / "kept.npy")
        if len(truth.labels) != scan.shape[2] or kept.max(initial=-1) >= len(truth.labels):
            raise InputDamaged(
                "labels and slices disagree", path=folder, hint="delete the folder, prepare again"
            )
        slices = np.arange(len(truth.labels), dtype=np.int32)
        has_atlas = self.preprocessing.has_atlas
        return PreparedPatient(patient_id, folder, kept, truth, scan, slices, has_atlas)


@dataclass(frozen=True, slots=True)
class KeptSlices:
    """Which slices are stored.

    Attributes:
        negatives: Slices without clot, drawn by patient; None keeps all slices.
        window: Whose neighbours are kept with each chosen slice.
        positives: Slices with clot, drawn by patient, where there are more; None keeps all.
    """

    negatives: int | None = None
    window: SliceWindow = SINGLE_SLICE
    positives: int | None = None


ALL_SLICES = KeptSlices()


def write_cohort_file(
    root: Path,
    preprocessing: PreprocessingConfig,
    regions: Regions,
    *,
    kept: KeptSlices = ALL_SLICES,
) -> None:
    """Write `prepared.json`, or check that the one that is there says the same.

    Raises:
        InputUnsupported: The folder was prepared with other settings.
    """
    values = {
        "schema": SCHEMA,
        "preprocessing": preprocessing.to_json(),
        "kept": asdict(kept),
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
    if truth.spiral is not None:
        np.save(folder / "spiral.npy", truth.spiral, allow_pickle=False)
    (folder / PATIENT_FILE).write_text(json.dumps(asdict(scan), indent=1) + "\n")


def read_scan(folder: Path) -> ScanInfo:
    """Read what a patient was prepared from.

    Args:
        folder: Of the prepared patient.

    Raises:
        InputMissing: He is not prepared.
        InputDamaged: The file is not what `write_patient_arrays` writes.
    """
    path = folder / PATIENT_FILE
    values = _read_json(path)
    try:
        return ScanInfo(
            shape=tuple(values["shape"]),
            spacing_mm=tuple(values["spacing_mm"]),
            fingerprint=str(values["fingerprint"]),
            group=values["group"],
            facts=values["facts"] and FolderFacts.from_json(values["facts"]),
        )
    except KeyError as cause:
        raise InputDamaged(
            f"says nothing about {cause}", path=path, hint="delete the folder, prepare again"
        ) from cause


def _load_if_there(path: Path) -> NDArray[np.float32] | None:
    return load_array(path) if path.exists() else None


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
