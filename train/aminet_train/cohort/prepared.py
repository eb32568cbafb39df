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
import torch
from numpy.typing import NDArray
from torch import Tensor

from aminet_runtime.errors import InputDamaged, InputInconsistent, InputMissing, InputUnsupported
from aminet_runtime.publish import write_whole
from aminet_runtime.regions import Regions
from aminet_train.cohort.arrays import COPY_OR_PREPARE, load_array
from aminet_train.cohort.folder_facts import FolderFacts
from aminet_train.cohort.splits import is_leaking
from aminet_train.preprocessing import (
    SINGLE_SLICE,
    PreprocessingConfig,
    SliceWindow,
    combine_planes,
)

SCHEMA = "aminet.prepared/3"
IMAGE_LEVELS = 255
CELL_GRID = (56, 56)
"""Height and width of the clot grid: stride 4 of a 224 x 224 input, the finest map of a network."""

COHORT_FILE = "prepared.json"
PATIENTS_FOLDER = "patients"
PATIENT_FILE = "patient.json"


@dataclass(frozen=True, slots=True)
class PatientTruth:
    """What the atlas tells about one patient: where the clot is, and where SPIRAL is high.

    Attributes:
        labels: uint8 [Z, 15], 1 where a region holds clot on that slice.
        clot_cells: uint16 [Z, gh, gw], bit r set where clot of region r lies in the cell.
        spiral: float32 [Z, 15], the highest SPIRAL value in each region, 0 where the slice has
            none of the region; None where there is no map.
    """

    labels: NDArray[np.uint8]
    clot_cells: NDArray[np.uint16]
    spiral: NDArray[np.float32] | None = None

    @property
    def affected(self) -> NDArray[np.bool_]:
        """Regions that hold clot on any slice: bool [15], the label of the patient."""
        counts: NDArray[np.int64] = self.labels.sum(axis=0, dtype=np.int64)
        return counts > 0


@dataclass(frozen=True, slots=True)
class ScanInfo:
    """The scan that a patient was prepared from.

    Attributes:
        shape: Voxels along x, y and z.
        spacing_mm: Along x, y and z.
        fingerprint: sha256 over its files, to find one scan under two names.
        group: Patients of one group belong to one side of a split, such as phantoms of one
            arterial tree; None for a patient of his own.
        facts: Of the patient folder; None where there was none, as for streamed phantoms.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    fingerprint: str
    group: str | None = None
    facts: FolderFacts | None = None

    @property
    def is_phantom(self) -> bool:
        """Whether a program made the patient; only phantoms come without a folder."""
        return self.facts is None or self.facts.is_phantom


@dataclass(frozen=True, slots=True)
class PreparedPatient:
    """One patient of a prepared cohort, or the slices of one that belong to one split.

    Images are mapped when asked for.

    Attributes:
        patient_id: Name of the patient folder.
        folder: Where the arrays are.
        kept: int32 [n], canonical numbers of the slices whose images are stored, rising.
        truth: Labels of all slices.
        scan: Where it came from.
        slices: int32 [m], canonical numbers of the slices of this split, rising: all of them where
            the cohort is split by patient.
    """

    patient_id: str
    folder: Path
    kept: NDArray[np.int32]
    truth: PatientTruth
    scan: ScanInfo
    slices: NDArray[np.int32]

    @property
    def group(self) -> str | None:
        """Group whose patients belong to one side of a split."""
        return self.scan.group

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

    @property
    def labels_here(self) -> NDArray[np.uint8]:
        """Labels uint8 [m, 15] of the slices of this split."""
        return self.truth.labels[self.slices]

    def images(self) -> NDArray[np.uint8]:
        """Map the views uint8 [n, V, h, w] of the kept slices read-only.

        Raises:
            InputDamaged: They are not there, not whole, or not those of the kept slices.
        """
        path = self.folder / "images.npy"
        images: NDArray[np.uint8] = load_array(path, mmap_mode="r")
        if images.shape[:1] != self.kept.shape:
            raise InputDamaged(
                f"the images {images.shape} are not those of {len(self.kept)} kept slices",
                path=path,
                hint=COPY_OR_PREPARE,
            )
        return images

    def require_complete(self) -> None:
        """Refuse a patient of whom some slices only are stored.

        Raises:
            InputInconsistent: He is one.
        """
        if not self.is_complete:
            raise InputInconsistent(
                f"patient {self.patient_id} was prepared with some slices only",
                hint="prepare validation and test patients with all slices",
            )

    def drawable(self, window: SliceWindow) -> NDArray[np.int32]:
        """List the slices of this split whose images are stored with all of their neighbours.

        Returns:
            int32, canonical slice numbers, rising.
        """
        is_kept = np.zeros(self.slice_count, np.bool_)
        is_kept[self.kept] = True
        return self.slices[is_kept[self._neighbours(self.slices, window)].all(axis=1)]

    def inputs(
        self,
        numbers: NDArray[np.int32],
        window: SliceWindow,
        *,
        images: NDArray[np.uint8] | None = None,
    ) -> Tensor:
        """Build the network's input for some slices, as the exported graph does from HU.

        Args:
            numbers: int32 [m], canonical slice numbers.
            window: Neighbours to show.
            images: What `images` returned, for callers that ask often.

        Returns:
            float32 [m, in_channels, h, w] in 0..1.

        Raises:
            InputInconsistent: The image of a slice or of a neighbour was not kept.
        """
        return combine_planes(self.planes(numbers, window, images=images), window)

    def planes(
        self,
        numbers: NDArray[np.int32],
        window: SliceWindow,
        *,
        images: NDArray[np.uint8] | None = None,
    ) -> Tensor:
        """Gather the views of each window's planes: float32 [m, V * size, h, w] in 0..1.

        For each view the planes run from low to high, as `Preprocessing.views` gives them.

        Raises:
            InputInconsistent: The image of a slice or of a neighbour was not kept.
        """
        wanted = self._neighbours(numbers, window)
        places = np.searchsorted(self.kept, wanted)
        if not np.array_equal(self.kept.take(places, mode="clip"), wanted):
            raise InputInconsistent(
                f"patient {self.patient_id} was prepared with some slices only",
                path=self.folder,
                hint="prepare all slices, or the neighbours of this window too",
            )
        stored = self.images() if images is None else images
        # (m, size, V, h, w) -> (m, V * size, h, w)
        by_view = np.moveaxis(stored[places], 1, 2).reshape(len(numbers), -1, *stored.shape[2:])
        return torch.from_numpy(np.ascontiguousarray(by_view)).float() / IMAGE_LEVELS

    def _neighbours(self, numbers: NDArray[np.int32], window: SliceWindow) -> NDArray[np.int32]:
        return window.neighbours(
            numbers, slice_spacing_mm=self.scan.spacing_mm[2], slice_count=self.slice_count
        )


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
        scan = _scan_info(folder / PATIENT_FILE)
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
        return PreparedPatient(patient_id, folder, kept, truth, scan, slices)


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


def _load_if_there(path: Path) -> NDArray[np.float32] | None:
    return load_array(path) if path.exists() else None


def _scan_info(path: Path) -> ScanInfo:
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
