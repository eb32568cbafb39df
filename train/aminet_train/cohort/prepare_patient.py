# SPDX-License-Identifier: Apache-2.0
"""One patient, from a folder or any other source of slices, to his folder of a prepared cohort."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from aminet_runtime.errors import InputInconsistent, OutputExists
from aminet_runtime.input_contract import NO_MARGIN_PX
from aminet_runtime.publish import as_output_errors, publish_folder
from aminet_train.cohort.prepared import (
    ALL_SLICES,
    PATIENT_FILE,
    PATIENTS_FOLDER,
    KeptSlices,
    write_patient_arrays,
)
from aminet_train.cohort.prepared_patient import CELL_GRID, IMAGE_LEVELS, PatientTruth, ScanInfo
from aminet_train.cohort.splits import SplitBy
from aminet_train.preprocessing import CELL_PX, Preprocessing, PreprocessingConfig


class PatientSource(Protocol):
    """Where the slices of one patient come from: files, or a phantom that is never written."""

    @property
    def patient_id(self) -> str:
        """Name of the patient."""
        ...

    @property
    def slice_spacing_mm(self) -> float:
        """Distance of the slices."""
        ...

    def truth(self, grid: tuple[int, int]) -> PatientTruth:
        """Return labels, clot cells and, where there is a map, SPIRAL of all slices.

        Args:
            grid: Height and width of the clot grid of a whole slice.
        """
        ...

    def images_hu(self, indices: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield canonical slice number and HU [C, H, W] of the wanted slices, in any order."""
        ...

    def about(self) -> ScanInfo:
        """Return grid and fingerprint of what was read; called after the last slice."""
        ...


@dataclass(frozen=True, slots=True)
class PreparePlan:
    """What to make of each patient.

    Attributes:
        root: Folder of the prepared cohort.
        preprocessing: Channels, windows and size.
        kept: Which slices to store; patients of validation and test always keep all of them.
        split_by: What is dealt to train, validation and test.
    """

    root: Path
    preprocessing: PreprocessingConfig
    kept: KeptSlices = ALL_SLICES
    split_by: SplitBy = SplitBy.PATIENT

    def folder_of(self, patient_id: str) -> Path:
        """Where a patient is prepared."""
        return self.root / PATIENTS_FOLDER / patient_id


def prepare_patient(source: PatientSource, plan: PreparePlan) -> None:
    """Prepare one patient, unless he is there already; his folder appears whole or not at all.

    Raises:
        InputError: Something is wrong with the patient.
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    target = plan.folder_of(source.patient_id)
    if (target / PATIENT_FILE).exists():
        return
    truth = _truth_in_view(source, plan.preprocessing)
    kept = choose_slices(
        truth.labels,
        plan.kept,
        patient_id=source.patient_id,
        slice_spacing_mm=source.slice_spacing_mm,
    )
    images = _views(source, kept, plan.preprocessing)
    scan = source.about()
    try:
        with publish_folder(target) as building, as_output_errors(target):
            write_patient_arrays(building, images, kept, truth=truth, scan=scan)
    except OutputExists:
        if not (target / PATIENT_FILE).exists():  # else a run beside ours was faster
            raise


def _truth_in_view(source: PatientSource, config: PreprocessingConfig) -> PatientTruth:
    """Mark clot in the cells that the network sees; labels count the whole slice."""
    if config.margin_px == NO_MARGIN_PX:
        return source.truth(CELL_GRID)
    height, width = (edge // CELL_PX for edge in config.frame_px)
    rows, columns = (edge // CELL_PX for edge in config.margin_px)
    truth = source.truth((height, width))
    cells = truth.clot_cells[:, rows : height - rows, columns : width - columns]
    return replace(truth, clot_cells=np.ascontiguousarray(cells))


def remove_patient(patient_id: str, plan: PreparePlan) -> None:
    """Remove what was prepared of a patient, if anything was.

    Raises:
        OutputNotWritable: The permissions do not allow it.
    """
    target = plan.folder_of(patient_id)
    with as_output_errors(target), suppress(FileNotFoundError):
        (target / PATIENT_FILE).unlink(missing_ok=True)  # first: without it he is not prepared
        shutil.rmtree(target)


def choose_slices(
    labels: NDArray[np.uint8], wanted: KeptSlices, *, patient_id: str, slice_spacing_mm: float
) -> NDArray[np.int32]:
    """Choose slices with clot, all or some, and some without, the same for the same patient.

    Args:
        labels: uint8 [Z, 15].
        wanted: How many, and whose neighbours.
        patient_id: Seeds the draw.
        slice_spacing_mm: Of the patient.

    Returns:
        int32 [n], rising.
    """
    if wanted.negatives is None:
        return np.arange(len(labels), dtype=np.int32)
    positive = labels.any(axis=1)
    seed = int.from_bytes(hashlib.sha256(patient_id.encode()).digest()[:8], "little")
    generator = np.random.default_rng(seed)
    without = _draw(np.flatnonzero(~positive), wanted.negatives, generator)
    with_clot = _draw(np.flatnonzero(positive), wanted.positives, generator)
    chosen = np.concatenate([with_clot, without]).astype(np.int32)
    return np.unique(
        wanted.window.neighbours(chosen, slice_spacing_mm=slice_spacing_mm, slice_count=len(labels))
    )


def _draw(
    pool: NDArray[np.intp], count: int | None, generator: np.random.Generator
) -> NDArray[np.intp]:
    if count is None or count >= len(pool):
        return pool
    drawn: NDArray[np.intp] = generator.choice(pool, count, replace=False)
    return drawn


def _views(
    source: PatientSource, kept: NDArray[np.int32], config: PreprocessingConfig
) -> NDArray[np.uint8]:
    preprocessing = Preprocessing(config)
    images = np.empty((len(kept), config.views, *config.size_px), np.uint8)
    position = {int(index): place for place, index in enumerate(kept)}
    filled = 0
    for index, image_hu in source.images_hu(kept):
        with torch.inference_mode():
            views = preprocessing(torch.from_numpy(image_hu)[None])[0]
        images[position[index]] = quantise(views.numpy())
        filled += 1
    if filled != len(kept):
        raise InputInconsistent(f"{filled} slices came, the labels are of {len(kept)}")
    return images


def quantise(views: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Store values 0..1 in 8 bits, rounded to the nearest level."""
    return np.rint(views * IMAGE_LEVELS).astype(np.uint8)
