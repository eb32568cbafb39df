# SPDX-License-Identifier: Apache-2.0
"""Score patients: from the cache of training, or a folder at full size."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aminet_export.engines import FusedScorer, Scorer
from aminet_export.slices import CachedSlices, FolderSlice
from aminet_export.steps import OnProgress
from aminet_runtime.regions import REGION_COUNT
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.slice_window import SliceWindow


def score_cached(
    scorer: Scorer,
    patients: Sequence[PreparedPatient],
    shown: CachedSlices,
    *,
    on_progress: OnProgress = lambda _done, _total: None,
) -> list[NDArray[np.float32]]:
    """Score all slices of prepared patients; returns [Z, 15] for each, the lowest first."""
    return _score_each(patients, lambda one: scorer(shown.all_slices_hu(one)), on_progress)


def score_fused(
    scorer: FusedScorer,
    patients: Sequence[PreparedPatient],
    shown: CachedSlices,
    window: SliceWindow,
    *,
    on_progress: OnProgress = lambda _done, _total: None,
) -> list[NDArray[np.float32]]:
    """Score prepared patients as `score_cached`, with a network that sees each slice alone.

    Args:
        scorer: Maps slices and the numbers of each one's neighbours to probabilities.
        patients: With the images of all slices.
        shown: How slices are shown, without neighbours.
        window: Which neighbours those are.
        on_progress: Called with patients done and their number.
    """

    def score(patient: PreparedPatient) -> NDArray[np.float32]:
        numbers = np.arange(patient.slice_count, dtype=np.int32)
        return scorer(shown.all_slices_hu(patient), patient.neighbours(numbers, window))

    return _score_each(patients, score, on_progress)


def _score_each(
    patients: Sequence[PreparedPatient],
    score: Callable[[PreparedPatient], NDArray[np.float32]],
    on_progress: OnProgress,
) -> list[NDArray[np.float32]]:
    scores = []
    for done, patient in enumerate(patients, start=1):
        scores.append(score(patient))
        on_progress(done, len(patients))
    return scores


def score_folder(
    slices: Iterable[FolderSlice],
    scorers_for: Callable[[tuple[int, int, int, int]], Mapping[str, Scorer]],
) -> dict[str, NDArray[np.float32]]:
    """Score all slices of a patient folder at full size, slice by slice in all engines.

    Args:
        slices: Of the folder.
        scorers_for: Makes the engines for slices of the shape [1, C, H, W].

    Returns:
        Engine to float32 [Z, 15], slice 0 the lowest.
    """
    scorers: Mapping[str, Scorer] = {}
    scores: dict[str, NDArray[np.float32]] = {}
    for part in slices:
        scorers = scorers or scorers_for(part.shape)
        for name, scorer in scorers.items():
            rows = scores.setdefault(name, np.empty((part.count, REGION_COUNT), np.float32))
            rows[part.index] = scorer([part.slices_hu])[0]
    return scores
