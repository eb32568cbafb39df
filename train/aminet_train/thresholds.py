# SPDX-License-Identifier: Apache-2.0
"""The decision rule, chosen on validation patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import region_probabilities

SLICES_IN_A_ROW = (1, 2, 3, 4, 6, 8)
"""Candidates: a clot of 6 to 30 mm spans 4 to 40 slices of 0.625 mm when it lies along the axis,
and one or two when it lies across."""


@dataclass(frozen=True, slots=True)
class ChosenRule:
    """How scores become decisions.

    Attributes:
        patient_thresholds: Of each region's probability, for the patient.
        slice_threshold: Of one slice's score, for slice-level figures.
        min_consecutive_slices: Slices in a row that must reach the patient's threshold.
    """

    patient_thresholds: tuple[float, ...]
    slice_threshold: float
    min_consecutive_slices: int


def choose_rule(
    scores: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]]
) -> ChosenRule:
    """Choose thresholds and slices in a row for the best F1 at each level.

    Args:
        scores: For each validation patient, [Z, 15].
        labels: For each validation patient, [Z, 15].
    """
    in_a_row, common, _f1 = best_patient_rule(scores, labels)
    reached = np.stack([region_probabilities(patient, in_a_row) for patient in scores])
    affected = np.stack([patient.any(axis=0) for patient in labels])
    slice_threshold, _f1 = best_threshold(
        np.concatenate(scores), np.concatenate(labels).astype(bool)
    )
    return ChosenRule(drawn_thresholds(reached, affected, common), slice_threshold, in_a_row)


def drawn_thresholds(
    reached: NDArray[np.float32], affected: NDArray[np.bool_], common: float
) -> tuple[float, ...]:
    """Choose each region's threshold as the mean of what draws of the patients would choose.

    The best threshold of a few dozen patients jumps where one of them changes; the mean, in
    log-odds, over patients drawn with replacement does not (bagging), so that two engines of one
    network choose more alike: docs/experiments.md.

    Args:
        reached: Patients' region probabilities [P, 15].
        affected: Truth [P, 15].
        common: Best threshold of all regions together, for draws without any clot.
    """
    generator = np.random.default_rng(_SEED)  # the same draws for every network
    chosen = []
    for _ in range(DRAWS):
        patients = generator.integers(0, len(reached), len(reached))
        shown, truth = reached[patients], affected[patients]
        best = best_threshold(shown, truth)[0] if truth.any() else common
        chosen.append(_log_odds(np.array(region_thresholds(shown, truth, best))))
    means = 1 / (1 + np.exp(-np.mean(chosen, axis=0)))
    return tuple(means.tolist())


DRAWS = 24
_SEED = 0


def best_patient_rule(
    scores: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]]
) -> tuple[int, float, float]:
    """Return slices in a row, threshold and F1 of the best patient-level rule."""
    truth = np.stack([patient.any(axis=0) for patient in labels])
    rules = []
    for in_a_row in SLICES_IN_A_ROW:
        reached = np.stack([region_probabilities(patient, in_a_row) for patient in scores])
        rules.append((in_a_row, *best_threshold(reached, truth)))
    return max(rules, key=lambda rule: rule[2])


def region_thresholds(
    reached: NDArray[np.float32], affected: NDArray[np.bool_], common: float
) -> tuple[float, ...]:
    """Fit a threshold to each region, and go half the way there from the common one.

    Some regions are harder than others, but a dozen validation patients a region are too few to
    trust them alone, so the fit is drawn back to the common threshold, half-way in log-odds.

    Args:
        reached: Patients' region probabilities [P, 15].
        affected: Truth [P, 15].
        common: Best threshold of all regions together, in (0, 1).
    """
    fitted = np.full(reached.shape[1], common)
    for _ in range(_SWEEPS):
        for region in np.flatnonzero(affected.any(axis=0)).tolist():
            fitted[region] = _best_given_others(reached, affected, fitted, region)
    return tuple(_half_way(float(threshold), common) for threshold in fitted)


_SWEEPS = 3
"""Each region's best threshold depends on the others' through F1; this settles in two or three."""


def _best_given_others(
    reached: NDArray[np.float32],
    affected: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    region: int,
) -> float:
    flagged = reached >= thresholds
    flagged[:, region] = False
    tp, flags = np.count_nonzero(flagged & affected), np.count_nonzero(flagged)
    scores = np.unique(reached[:, region])[::-1].astype(np.float64)
    candidates = (np.append(1.0, scores) + np.append(scores, 0.0)) / 2  # between the scores
    hit = reached[:, region, np.newaxis] >= candidates  # (P, candidates)
    own_tp = np.count_nonzero(hit & affected[:, region, np.newaxis], axis=0)
    f1 = 2 * (tp + own_tp) / (flags + np.count_nonzero(hit, axis=0) + np.count_nonzero(affected))
    return float(candidates[np.argmax(f1)])


def _half_way(fitted: float, common: float) -> float:
    return float(1 / (1 + np.exp(-_log_odds(np.array([fitted, common])).mean())))


def _log_odds(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    clear = np.clip(thresholds, _CLEAR_OF_BOUNDS, 1 - _CLEAR_OF_BOUNDS)
    odds: NDArray[np.float64] = np.log(clear / (1 - clear))
    return odds


_CLEAR_OF_BOUNDS = 1e-4
"""Keeps log-odds finite and thresholds inside of (0, 1)."""


def best_threshold(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Find the threshold with the highest F1 over all pairs.

    The threshold is put half-way between the two neighbouring scores, so that a difference of
    rounding between two engines does not change a decision.

    Returns:
        Threshold and its F1.
    """
    order = np.argsort(-scores, axis=None, kind="stable")
    ranked, hits = scores.reshape(-1)[order], truth.reshape(-1)[order]
    tp = np.cumsum(hits)
    flagged = np.arange(1, len(hits) + 1)
    f1 = 2 * tp / (flagged + max(int(hits.sum()), 1))
    is_last_of_ties = np.append(ranked[:-1] != ranked[1:], True)
    best = int(np.argmax(np.where(is_last_of_ties, f1, -1.0)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2), float(f1[best])
