# SPDX-License-Identifier: Apache-2.0
"""What an approach says about a patient, and how far it is right, at slice and patient level.

Scores rank pairs, flags decide them. For one model the flags are its scores against its thresholds;
for an ensemble they are the votes of its members, and the scores only rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import region_probabilities
from aminet_runtime.errors import InputInconsistent
from aminet_runtime.regions import REGION_COUNT
from aminet_train.metrics import Counts, average_precision, count, intervals, total
from aminet_train.thresholds import ChosenRule


@dataclass(frozen=True, slots=True, eq=False)
class PatientAnswer:
    """What an approach says about one patient.

    Attributes:
        slice_scores: float32 [m, 15] in 0..1.
        slice_flags: bool [m, 15].
        region_scores: float32 [15] in 0..1, for the patient.
        region_flags: bool [15], for the patient.
    """

    slice_scores: NDArray[np.float32]
    slice_flags: NDArray[np.bool_]
    region_scores: NDArray[np.float32]
    region_flags: NDArray[np.bool_]


def answer(scores: NDArray[np.float32], rule: ChosenRule) -> PatientAnswer:
    """Decide slices and regions of one patient.

    Args:
        scores: float32 [m, 15], slices from low to high.
        rule: Chosen before, on other patients.
    """
    reached = region_probabilities(scores, rule.min_consecutive_slices)
    return PatientAnswer(
        slice_scores=scores,
        slice_flags=scores >= rule.slice_threshold,
        region_scores=reached,
        region_flags=reached >= np.array(rule.patient_thresholds),
    )


def vote(answers: Sequence[PatientAnswer]) -> PatientAnswer:
    """Let the majority of members decide each slice and each region of one patient.

    Each member votes with its own thresholds, at both levels. The score of a pair, which only ranks
    pairs, is the share of votes plus the mean score of the members within that share, so that a
    pair with more votes is always ahead.

    Args:
        answers: An odd number of members' answers on the same slices.

    Raises:
        InputInconsistent: The members answered for different slices.
    """
    if len({one.slice_scores.shape for one in answers}) != 1:
        raise InputInconsistent("the members of the ensemble answered for different slices")
    slice_flags = np.stack([one.slice_flags for one in answers])
    region_flags = np.stack([one.region_flags for one in answers])
    return PatientAnswer(
        slice_scores=_ranking(slice_flags, np.stack([one.slice_scores for one in answers])),
        slice_flags=_majority(slice_flags),
        region_scores=_ranking(region_flags, np.stack([one.region_scores for one in answers])),
        region_flags=_majority(region_flags),
    )


def evaluate_answers(
    answers: Sequence[PatientAnswer], labels: Sequence[NDArray[np.uint8]]
) -> dict[str, Any]:
    """Compare answers with truth at slice and patient level.

    Args:
        answers: Of each patient.
        labels: Of each patient, [m, 15].

    Returns:
        `patients`; `slice` and `patient`, each with counts, shares, their 95 % intervals and
        average precision; `per_region` with the patient-level counts of each region, and its
        slice-level ones under `slice`. 0/0 is 0.
    """
    truth = [patient.astype(bool) for patient in labels]
    affected = np.stack([affected_regions(patient) for patient in truth])
    flagged = np.stack([one.region_flags for one in answers])
    at_slices, at_patients = count_patients(answers, labels)
    return {
        "patients": len(answers),
        "slice": {
            **_level(at_slices),
            "average_precision": average_precision(
                np.concatenate([one.slice_scores for one in answers]), np.concatenate(truth)
            ),
        },
        "patient": {
            **_level(at_patients),
            "average_precision": average_precision(
                np.stack([one.region_scores for one in answers]), affected
            ),
            "exact": float((flagged == affected).all(axis=1).mean()),
        },
        "per_region": _per_region(answers, truth),
    }


def count_patients(
    answers: Sequence[PatientAnswer], labels: Sequence[NDArray[np.uint8]]
) -> tuple[list[Counts], list[Counts]]:
    """Count the pairs of each patient, at slice and at patient level."""
    truth = [patient.astype(bool) for patient in labels]
    pairs = list(zip(answers, truth, strict=True))
    return (
        [count(one.slice_flags, true) for one, true in pairs],
        [count(one.region_flags, affected_regions(true)) for one, true in pairs],
    )


def affected_regions(labels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return bool [15]: the union of the slices' labels [m, 15]."""
    affected: NDArray[np.bool_] = np.logical_or.reduce(labels.astype(np.bool_), axis=0)
    return affected


def _level(per_patient: Sequence[Counts]) -> dict[str, Any]:
    return {**total(per_patient).to_json(), **intervals(per_patient).to_json()}


def _per_region(
    answers: Sequence[PatientAnswer], truth: Sequence[NDArray[np.bool_]]
) -> list[dict[str, Any]]:
    affected = np.stack([affected_regions(patient) for patient in truth])
    flagged = np.stack([one.region_flags for one in answers])
    slice_truth = np.concatenate(truth)
    slice_flags = np.concatenate([one.slice_flags for one in answers])
    return [
        {
            "index": region,
            **count(flagged[:, region], affected[:, region]).to_json(),
            "slice": count(slice_flags[:, region], slice_truth[:, region]).to_json(),
        }
        for region in range(REGION_COUNT)
    ]


def _majority(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Reduce votes [members, ...] to what more than half of them say."""
    votes: NDArray[np.int64] = np.count_nonzero(flags, axis=0)
    return votes * 2 > len(flags)


def _ranking(flags: NDArray[np.bool_], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    votes = np.count_nonzero(flags, axis=0)
    mean: NDArray[np.float64] = scores.mean(axis=0, dtype=np.float64)
    ranking: NDArray[np.float32] = ((votes + mean) / (len(flags) + 1)).astype(np.float32)
    return ranking
