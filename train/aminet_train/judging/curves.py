# SPDX-License-Identifier: Apache-2.0
"""Curves over all thresholds: precision against recall, and how far scores are probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_train.metrics import Counts, count

RELIABILITY_BINS = 10
SWEEP_THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""The source report's sweep of the SPIRAL threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecallCurve:
    """One point for each score that occurs, from the highest threshold down.

    Attributes:
        precision: float64 [n].
        recall: float64 [n], rising to 1.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Pairs whose scores lie in [low, high), the last bin with its upper end.

    Attributes:
        low: Lower end.
        high: Upper end.
        pairs: How many.
        mean_score: Of these pairs; 0 where there are none.
        true_share: How many of them are true; 0 where there are none.
    """

    low: float
    high: float
    pairs: int
    mean_score: float
    true_share: float


def precision_recall_curve(
    scores: NDArray[np.float32], truth: NDArray[np.bool_]
) -> PrecisionRecallCurve:
    """Follow the threshold down over all pairs; equal scores are one point.

    Args:
        scores: Any shape.
        truth: Same shape; without a true pair the curve is empty.
    """
    positives = np.count_nonzero(truth)
    if positives == 0:
        return PrecisionRecallCurve(np.zeros(0), np.zeros(0))
    order = np.argsort(-scores, axis=None, kind="stable")
    ranked, hits = scores.reshape(-1)[order], truth.reshape(-1)[order]
    is_last_of_ties = np.append(ranked[:-1] != ranked[1:], True)
    tp = np.cumsum(hits)[is_last_of_ties]
    flagged = np.flatnonzero(is_last_of_ties) + 1
    return PrecisionRecallCurve(tp / flagged, tp / positives)


def reliability(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], *, bins: int = RELIABILITY_BINS
) -> list[ReliabilityBin]:
    """Compare scores with the share of true pairs, in bins of equal width.

    Args:
        scores: In 0..1, any shape.
        truth: Same shape.
        bins: Number of bins.
    """
    places = np.minimum((scores.reshape(-1) * bins).astype(np.int64), bins - 1)
    pairs = np.bincount(places, minlength=bins)
    score_sums = np.bincount(places, weights=scores.reshape(-1).astype(np.float64), minlength=bins)
    true_sums = np.bincount(places, weights=truth.reshape(-1).astype(np.float64), minlength=bins)
    return [
        ReliabilityBin(
            low=number / bins,
            high=(number + 1) / bins,
            pairs=int(pairs[number]),
            mean_score=float(score_sums[number] / max(pairs[number], 1)),
            true_share=float(true_sums[number] / max(pairs[number], 1)),
        )
        for number in range(bins)
    ]


def calibration_error(bins: list[ReliabilityBin]) -> float:
    """Return the mean distance of score and true share, weighted by pairs.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    pairs = sum(one.pairs for one in bins)
    distance = sum(one.pairs * abs(one.mean_score - one.true_share) for one in bins)
    return distance / pairs if pairs else 0.0


def sweep(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> list[tuple[float, Counts]]:
    """Count at each threshold of the report; as in the report a pair is flagged above it."""
    return [(threshold, count(scores > threshold, truth)) for threshold in SWEEP_THRESHOLDS]
