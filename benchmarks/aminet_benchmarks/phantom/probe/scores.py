# SPDX-License-Identifier: Apache-2.0
"""Average precision and best F1 of guesses, with intervals over patients.

The threshold of an F1 is chosen on the very pairs that it is measured on. That flatters every
guess, baselines too, and spares a third set of patients.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_train.metrics import average_precision

Scores = NDArray[np.float32]
Truth = NDArray[np.bool_]
Metric = Callable[[Scores, Truth], float]

ROUNDS = 500
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and its 95 % interval over patients.

    Attributes:
        value: The figure.
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Write `0.31 (0.28..0.35)`."""
        return f"{self.value:.3f} ({self.low:.3f}..{self.high:.3f})"


def best_f1(scores: Scores, truth: Truth) -> float:
    """Return the highest F1 that any one threshold gives over all pairs."""
    order = np.argsort(-scores, axis=None, kind="stable")
    ranked, hits = scores.ravel()[order], np.cumsum(truth.ravel()[order])
    is_last = np.append(ranked[1:] != ranked[:-1], True)
    flagged = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (flagged + max(int(hits[-1]), 1))
    return float(f1[is_last].max())


def measured(
    metric: Metric, scores: Scores, truth: Truth, *, against: Scores | None = None, seed: int = 0
) -> Measured:
    """Measure guesses of patients, and redraw the patients for the interval.

    Args:
        metric: `average_precision` or `best_f1`.
        scores: float32 [patients, ..., 15].
        truth: bool, of the same shape.
        against: Other guesses; then the figure is the gain over them.
        seed: Seed of the draws.
    """

    def figure(chosen: NDArray[np.intp]) -> float:
        value = metric(scores[chosen], truth[chosen])
        return value if against is None else value - metric(against[chosen], truth[chosen])

    count = len(scores)
    draws = np.random.default_rng(seed).integers(0, count, (ROUNDS, count))
    low, high = np.quantile([figure(draw) for draw in draws], INTERVAL)
    return Measured(figure(np.arange(count)), float(low), float(high))


METRICS: dict[str, Metric] = {"AP": average_precision, "F1": best_f1}
