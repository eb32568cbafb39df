# SPDX-License-Identifier: Apache-2.0
"""Score patients with an engine: from the cache of training, or a folder at full size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_export.engines import Scorer
from aminet_export.slices import cached_slices_hu, folder_slices
from aminet_runtime.patient import Channel
from aminet_runtime.regions import REGION_COUNT
from aminet_train.prepared import PreparedPatient
from aminet_train.preprocessing import Preprocessing

ScorerForShape = Callable[[tuple[int, int, int, int]], Scorer]

SAMPLE_SHARES = (0.35, 0.65)
"""Heights of the self-test's slices: the skull base with the large arteries, and the convexity."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Slices and what the shipped network says about them.

    Attributes:
        slices_hu: float32 [n, C, H, W].
        probabilities: float32 [n, 15].
    """

    slices_hu: NDArray[np.float32]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FolderScores:
    """One patient folder in several engines.

    Attributes:
        scores: Engine to float32 [Z, 15].
        sample: Some slices, for the self-test.
    """

    scores: dict[str, NDArray[np.float32]]
    sample: Sample


def score_cached(
    scorer: Scorer, patients: Sequence[PreparedPatient], preprocessing: Preprocessing
) -> list[NDArray[np.float32]]:
    """Score all cached slices of patients; returns [Z, 15] for each."""
    return [
        np.stack([scorer(slices_hu) for slices_hu in cached_slices_hu(patient, preprocessing)])
        for patient in patients
    ]


def score_folder(
    folder: Path,
    channels: tuple[Channel, ...],
    engines: Mapping[str, ScorerForShape],
    *,
    shipped: str,
) -> FolderScores:
    """Score all slices of a patient folder at full size, slice by slice in all engines.

    Args:
        folder: Patient folder.
        channels: The network's.
        engines: Name to a function that makes a scorer for [1, C, H, W].
        shipped: Whose probabilities go into the sample.
    """
    scorers: dict[str, Scorer] = {}
    scores: dict[str, NDArray[np.float32]] = {}
    images: list[NDArray[np.float32]] = []
    chosen: list[int] = []
    for part in folder_slices(folder, channels):
        if not scorers:
            scorers = {name: make((1, *part.slices_hu.shape[1:])) for name, make in engines.items()}
            scores = {name: np.empty((part.count, REGION_COUNT), np.float32) for name in engines}
        for name, scorer in scorers.items():
            scores[name][part.index] = scorer(part.slices_hu)
        if part.index in {int(share * part.count) for share in SAMPLE_SHARES}:
            images.append(part.slices_hu[0].copy())
            chosen.append(part.index)
    return FolderScores(scores, Sample(np.stack(images), scores[shipped][chosen]))
