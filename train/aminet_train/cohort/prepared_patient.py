# SPDX-License-Identifier: Apache-2.0
"""One patient of a prepared cohort: truth, scan, and the network's input out of mapped images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aminet_runtime.errors import InputDamaged, InputInconsistent
from aminet_train.cohort.arrays import COPY_OR_PREPARE, load_array
from aminet_train.cohort.folder_facts import FolderFacts
from aminet_train.preprocessing import combine_planes
from aminet_train.slice_window import SliceWindow

IMAGE_LEVELS = 255
CELL_GRID = (56, 56)
"""Height and width of the clot grid: stride 4 of a 224 x 224 input, the finest map of a network.

Where the network sees the middle of the slice alone, so does the grid, in cells of 4 x 4 pixels.
"""


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
        has_atlas: Whether the last view is no image, but the region of each voxel.
    """

    patient_id: str
    folder: Path
    kept: NDArray[np.int32]
    truth: PatientTruth
    scan: ScanInfo
    slices: NDArray[np.int32]
    has_atlas: bool = False

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
        return self.slices[is_kept[self.neighbours(self.slices, window)].all(axis=1)]

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
        planes = self.planes(numbers, window, images=images)
        return combine_planes(planes, window, has_atlas=self.has_atlas)

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
        wanted = self.neighbours(numbers, window)
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

    def neighbours(self, numbers: NDArray[np.int32], window: SliceWindow) -> NDArray[np.int32]:
        """List the slices of each window, int32 [m, size], low to high; see `SliceWindow`."""
        return window.neighbours(
            numbers, slice_spacing_mm=self.scan.spacing_mm[2], slice_count=self.slice_count
        )
