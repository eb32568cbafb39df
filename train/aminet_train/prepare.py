# SPDX-License-Identifier: Apache-2.0
"""Patient folders, or any other source of slices, to a prepared cohort."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from aminet_runtime.errors import AminetError, InputInconsistent
from aminet_runtime.publish import publish_folder
from aminet_train.cohort import cohort_regions, patient_folders
from aminet_train.folder_source import FolderSource
from aminet_train.patients import check_patients_apart
from aminet_train.prepared import (
    IMAGE_LEVELS,
    PATIENT_FILE,
    PATIENTS_FOLDER,
    PatientTruth,
    PreparedCohort,
    ScanInfo,
    write_cohort_file,
    write_patient_arrays,
)
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig
from aminet_train.splits import Split, Splits, draw_splits, write_splits


class PatientSource(Protocol):
    """Where the slices of one patient come from: files, or a phantom that is never written."""

    @property
    def patient_id(self) -> str:
        """Name of the patient."""
        ...

    def truth(self) -> PatientTruth:
        """Return labels, clot cells and, where there is a map, SPIRAL of all slices."""
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
        negatives: Slices without clot to keep, drawn by patient; None keeps all slices.
    """

    root: Path
    preprocessing: PreprocessingConfig
    negatives: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A patient that could not be prepared, and why."""

    patient_id: str
    reason: str


def prepare_cohort(
    cohort: Path,
    plan: PreparePlan,
    *,
    seed: int,
    jobs: int = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Refusal]:
    """Prepare all patients of a cohort, then deal the splits.

    Patients that are there already are not made again, so a stopped run goes on.

    Args:
        cohort: Folder of patient folders, with `regions.json` beside them.
        plan: What to make.
        seed: Of the splits.
        jobs: Processes.
        on_progress: Called with patients done and patients in all.

    Returns:
        The patients that were refused, each with its reason.

    Raises:
        InputMissing: There is no cohort.
        InputInconsistent: One scan would be in two splits.
    """
    folders = patient_folders(cohort)
    write_cohort_file(plan.root, plan.preprocessing, cohort_regions(cohort))
    refusals = list(_prepare_all(folders, plan, jobs=jobs, on_progress=on_progress))
    prepared = PreparedCohort.open(plan.root)
    names = sorted(
        {folder.name for folder in folders} - {refusal.patient_id for refusal in refusals}
    )
    splits = draw_splits(names, seed=seed)
    guard_against_leaks(prepared, splits)
    write_splits(plan.root, splits)
    return refusals


def prepare_patient(source: PatientSource, plan: PreparePlan) -> None:
    """Prepare one patient; the folder appears whole or not at all."""
    target = plan.root / PATIENTS_FOLDER / source.patient_id
    if (target / PATIENT_FILE).exists():
        return
    truth = source.truth()
    kept = choose_slices(truth.labels, negatives=plan.negatives, patient_id=source.patient_id)
    images = _network_inputs(source, kept, plan.preprocessing)
    with publish_folder(target) as building:
        write_patient_arrays(building, images, kept, truth=truth, scan=source.about())


def choose_slices(
    labels: NDArray[np.uint8], *, negatives: int | None, patient_id: str
) -> NDArray[np.int32]:
    """Choose all slices with clot and some without, the same ones for the same patient.

    Args:
        labels: uint8 [Z, 15].
        negatives: Slices without clot to draw; None takes all.
        patient_id: Seeds the draw.

    Returns:
        int32 [n], rising.
    """
    positive = labels.any(axis=1)
    if negatives is None:
        return np.arange(len(labels), dtype=np.int32)
    seed = int.from_bytes(hashlib.sha256(patient_id.encode()).digest()[:8], "little")
    pool = np.flatnonzero(~positive)
    drawn = np.random.default_rng(seed).choice(pool, min(negatives, len(pool)), replace=False)
    return np.sort(np.concatenate([np.flatnonzero(positive), drawn])).astype(np.int32)


def guard_against_leaks(prepared: PreparedCohort, splits: Splits) -> None:
    """Refuse splits that share a scan or a group.

    Raises:
        InputInconsistent: They do; both names are in the message.
    """
    check_patients_apart({split: [prepared.patient(n) for n in splits[split]] for split in Split})


def _prepare_all(
    folders: Sequence[Path],
    plan: PreparePlan,
    *,
    jobs: int,
    on_progress: Callable[[int, int], None],
) -> Iterator[Refusal]:
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        outcomes = pool.map(_prepare_folder, folders, [plan] * len(folders))
        for done, outcome in enumerate(outcomes, start=1):
            on_progress(done, len(folders))
            if outcome is not None:
                yield outcome


def _prepare_folder(folder: Path, plan: PreparePlan) -> Refusal | None:
    torch.set_num_threads(1)
    try:
        prepare_patient(FolderSource(folder, plan.preprocessing.channels), plan)
    except AminetError as error:
        return Refusal(folder.name, f"error[{error.code}]: {error}")
    return None


def _network_inputs(
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
