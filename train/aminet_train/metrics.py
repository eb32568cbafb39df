# SPDX-License-Identifier: Apache-2.0
"""Precision, recall, F1 and average precision, micro-averaged over pairs.

At slice level a pair is (slice, region), at patient level (patient, region): two different
questions, so both are always reported. 0/0 is 0.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from torch import from_numpy
from torchmetrics.functional.classification import binary_average_precision

BOOTSTRAP_ROUNDS = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Counts:
    """The four counts of a set of pairs."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def precision(self) -> float:
        """Share of flagged pairs that are true."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of true pairs that are flagged; clinicians call it sensitivity."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of pairs that are right; near 1 at slice level whatever the network does."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    def to_json(self) -> dict[str, float]:
        """Return counts and shares."""
        shares = {name: getattr(self, name) for name in ("precision", "recall", "f1", "accuracy")}
        return {**asdict(self), **shares}


def count(flagged: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Counts:
    """Count the pairs of two boolean arrays of the same shape."""
    tp = int(np.count_nonzero(flagged & truth))
    fp = int(np.count_nonzero(flagged)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Counts(tp, fp, fn, truth.size - tp - fp - fn)


def average_precision(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Area under the precision-recall curve over all pairs; 0 where no pair is true."""
    if not truth.any():
        return 0.0
    value = binary_average_precision(
        from_numpy(scores.reshape(-1).copy()), from_numpy(truth.reshape(-1).astype(np.int64))
    )
    return float(value)


def f1_interval(
    per_patient: Sequence[Counts], *, seed: int = 0, rounds: int = BOOTSTRAP_ROUNDS
) -> tuple[float, float]:
    """Bootstrap a 95 % interval of F1 by drawing patients with replacement.

    Patients are drawn, not pairs, since the pairs of one patient depend on each other.
    """
    table = np.array([[c.tp, c.fp, c.fn] for c in per_patient], dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(table), (rounds, len(table)))
    tp, fp, fn = table[draws].sum(axis=1).T
    f1 = np.divide(2 * tp, 2 * tp + fp + fn, out=np.zeros_like(tp), where=tp + fp + fn > 0)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(f1, [tail, 1 - tail])
    return float(low), float(high)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
