# SPDX-License-Identifier: Apache-2.0
"""Slices for the SPIRAL threshold, drawn from the maxima that a prepared cohort keeps.

The cache has no SPIRAL map at full size and no atlas, but it has all that the threshold depends on:
the highest value in each region of each slice. A slice with these maxima is drawn, so that every
engine has to find them again, on every slice of every held-out patient. How real maps and atlases
are read is seen on a patient folder at full size.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputInconsistent, UsageError
from aminet_runtime.metadata import Precision
from aminet_runtime.regions import REGION_COUNT
from aminet_train.checkpoint import CheckpointInfo
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import HELD_OUT, Split
from aminet_train.judging.spiral import spiral_scores
from aminet_train.networks import Approach

CASE_PRECISION = 24
CASE_OTHER_COHORT = 26

GRID = 4
"""Squares in a row of a drawn slice: 16 of them, one a region and one that stays empty."""

SQUARE_PX = 16
BELOW_THE_PEAK = 0.5
"""What surrounds the peak of a square, as a share of it."""

_STRIDES = (5, 11)  # odd, so that the peaks wander over all pixels of a square


class DrawnMaxima:
    """Shows the maxima of prepared patients as slices of 15 squares, one a region."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape [1, 2, h, w]: the SPIRAL map and the atlas."""
        return (1, 2, GRID * SQUARE_PX, GRID * SQUARE_PX)

    def slice_hu(self, patient: PreparedPatient, number: int) -> NDArray[np.float32]:
        """Draw a slice whose regions have the patient's maxima, each in one pixel.

        Returns:
            float32 [1, 2, h, w]; the peaks are elsewhere on every slice.
        """
        return _drawn(spiral_scores(patient)[number], number)

    def all_slices_hu(self, patient: PreparedPatient) -> Iterator[NDArray[np.float32]]:
        """Draw all slices of a patient, the lowest first."""
        for number, maxima in enumerate(spiral_scores(patient)):
            yield _drawn(maxima, number)


def require_float(approach: Approach, precision: Precision) -> None:
    """Refuse to make the SPIRAL threshold smaller: it has no weights.

    Raises:
        UsageError: Another precision than fp32 is asked for.
    """
    if approach is Approach.SPIRAL and precision is not Precision.FP32:
        raise UsageError(
            f"the SPIRAL threshold has no weights, so there is nothing to turn into {precision}",
            case=CASE_PRECISION,
            hint="export it with --precision fp32, which is the default",
        )


def require_fitted_on(
    info: CheckpointInfo, patients: Mapping[Split, Sequence[PreparedPatient]]
) -> None:
    """Refuse other data than those that the threshold was fitted on, and patients without a map.

    Any cohort with SPIRAL maxima would do to score, but a fingerprint covers the channels that a
    cohort was prepared with: only the same cohort can prove that held-out patients are unseen.

    Raises:
        InputInconsistent: Training patients of the checkpoint are not among those of the data.
        InputMissing: A held-out patient has no SPIRAL map.
    """
    there = {patient.fingerprint for patient in patients[Split.TRAIN]}
    if not there.issuperset(info.training["data"][Split.TRAIN.value]["fingerprints"]):
        raise InputInconsistent(
            "the threshold was fitted on other training patients than those of the data",
            case=CASE_OTHER_COHORT,
            hint="name the data that it was fitted on",
        )
    for split in HELD_OUT:
        for patient in patients[split]:
            if patient.truth.spiral is None:
                spiral_scores(patient)  # says which patient, and what to do


def _drawn(maxima: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Draw the maxima of one slice, by its number so that the peaks wander."""
    peaks = np.append(maxima, np.float32(0))
    squares = np.repeat(peaks * BELOW_THE_PEAK, SQUARE_PX**2).reshape(-1, SQUARE_PX, SQUARE_PX)
    row, column = (number * stride % SQUARE_PX for stride in _STRIDES)
    squares[:, row, column] = peaks
    regions = np.arange(len(peaks)) % REGION_COUNT  # the empty square is of region 0
    atlas = np.repeat(regions, SQUARE_PX**2).reshape(squares.shape)
    return np.stack([_laid_out(squares), _laid_out(atlas)])[np.newaxis].astype(np.float32)


def _laid_out(squares: NDArray[np.generic]) -> NDArray[np.generic]:
    """Lay 16 squares [16, h, w] out as one picture [4 h, 4 w]."""
    return np.block([list(squares[start : start + GRID]) for start in range(0, GRID**2, GRID)])
