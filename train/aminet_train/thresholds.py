# SPDX-License-Identifier: Apache-2.0
"""The decision rule, chosen on validation patients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    in_a_row, _f1 = best_slices_in_a_row(scores, labels)
    reached = np.stack([region_probabilities(patient, in_a_row) for patient in scores])
    affected = np.stack([patient.any(axis=0) for patient in labels])
    for_slices = fitted_threshold(np.concatenate(scores), np.concatenate(labels).astype(bool))
    return ChosenRule(fitted_thresholds(reached, affected), for_slices, in_a_row)


def fitted_threshold(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Choose one threshold in (0, 1) for pairs of all regions, as `fitted_thresholds` does.

    Args:
        scores: Of pairs, in any shape.
        truth: Of the same shape.
    """
    return fitted_thresholds(scores.reshape(-1, 1), truth.reshape(-1, 1))[0]


def fitted_thresholds(
    reached: NDArray[np.float32], affected: NDArray[np.bool_]
) -> tuple[float, ...]:
    """Choose each region's threshold for the best F1 over all pairs that is to be expected.

    The best threshold of a few dozen patients jumps where one of them changes. So a curve is fitted
    first, how probable a clot is at each score, and the best threshold of that curve is taken: it
    scatters less, and another engine of the same network finds nearly the same one.

    Args:
        reached: Region probabilities of patients or slices, [P, R].
        affected: Truth [P, R].

    Returns:
        R thresholds in (0, 1). All are the best common one where nothing can be fitted: no pair
        or every pair is affected, or all scores are alike.

    Source: Lipton et al., Optimal thresholding of classifiers to maximize F1 measure, ECML 2014:
    what is more probable than half the best F1 is flagged.
    """
    log_odds = _log_odds(reached)
    centre, spread = float(log_odds.mean()), float(log_odds.std())
    common = float(_log_odds(np.array(best_threshold(reached, affected)[0])))
    if affected.all() or not affected.any() or spread < _NO_SPREAD:
        return tuple(_probability(np.full(reached.shape[1], common)).tolist())
    curve = _fit_curve((log_odds - centre) / spread, affected)
    level = _best_level(curve.probabilities)
    risen = [_rises_to(level - offset, curve) for offset in curve.offsets]
    chosen = [common if place is None else centre + spread * place for place in risen]
    return tuple(_probability(np.array(chosen)).tolist())


class _Curve(NamedTuple):
    """Log-odds of a clot: bend x^2 + slope x + the region's offset.

    Attributes:
        bend: One for all regions.
        slope: One for all regions.
        offsets: [R].
        probabilities: Of all pairs that it was fitted to, in any order.
    """

    bend: float
    slope: float
    offsets: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def _fit_curve(scores: NDArray[np.float64], affected: NDArray[np.bool_]) -> _Curve:
    """Fit the curve to standardised log-odds [P, R], with offsets that are drawn towards 0."""
    # every reader of a checkpoint imports this module, and few choose a rule
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - takes 0.6 s

    patients, regions = scores.shape
    column = scores.reshape(-1, 1)
    which = np.tile(np.eye(regions), (patients, 1))  # (P * 15, 15)
    features = np.hstack([column**2, column, which])
    model = LogisticRegression(C=_PRIOR_VARIANCE, max_iter=_ITERATIONS)
    model.fit(features, affected.reshape(-1))
    bend, slope, *offsets = model.coef_[0].tolist()
    probabilities = model.predict_proba(features)[:, 1]
    return _Curve(bend, slope, np.array(offsets) + model.intercept_[0], probabilities)


_PRIOR_VARIANCE = 1.0
"""Of the coefficients: some regions are harder than others, but a dozen validation patients a
region are too few to trust them alone."""
_ITERATIONS = 1000
_NO_SPREAD = 1e-6


def _best_level(probabilities: NDArray[np.float64]) -> float:
    """Return the log-odds from which on pairs are flagged, for the best F1 to be expected."""
    ranked = np.sort(probabilities)[::-1]
    flagged = np.arange(1, len(ranked) + 1)
    f1 = 2 * np.cumsum(ranked) / (flagged + ranked.sum())
    return float(_log_odds(f1.max() / 2))


def _rises_to(level: float, curve: _Curve) -> float | None:
    """Return where bend x^2 + slope x rises to a level, or turns before it does; None: nowhere."""
    root = math.sqrt(max(curve.slope**2 + 4 * curve.bend * level, 0.0))
    if curve.slope > 0:
        return 2 * level / (curve.slope + root)
    return (root - curve.slope) / (2 * curve.bend) if curve.bend > 0 else None


def best_slices_in_a_row(
    scores: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]]
) -> tuple[int, float]:
    """Return slices in a row and F1 of the best patient-level rule with one common threshold."""
    truth = np.stack([patient.any(axis=0) for patient in labels])
    rules = []
    for in_a_row in SLICES_IN_A_ROW:
        reached = np.stack([region_probabilities(patient, in_a_row) for patient in scores])
        rules.append((in_a_row, best_threshold(reached, truth)[1]))
    return max(rules, key=lambda rule: rule[1])


def _probability(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    bound = _log_odds(np.array(1.0))
    probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-log_odds.clip(-bound, bound)))
    return probabilities


def _log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    clear = np.clip(probabilities.astype(np.float64), _CLEAR_OF_BOUNDS, 1 - _CLEAR_OF_BOUNDS)
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
