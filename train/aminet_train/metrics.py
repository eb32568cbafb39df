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


@dataclass(frozen=True, slots=True)
class Intervals:
    """95 % intervals of three shares, each (low, high)."""

    precision: tuple[float, float]
    recall: tuple[float, float]
    f1: tuple[float, float]

    def to_json(self) -> dict[str, list[float]]:
        """Return `precision_ci95`, `recall_ci95` and `f1_ci95`."""
        return {f"{name}_ci95": list(bounds) for name, bounds in asdict(self).items()}


def intervals(
    per_patient: Sequence[Counts], *, seed: int = 0, rounds: int = BOOTSTRAP_ROUNDS
) -> Intervals:
    """Bootstrap 95 % intervals by drawing patients with replacement.

    Patients are drawn, not pairs, since the pairs of one patient depend on each other.
    """
    tp, fp, fn = _drawn_sums([per_patient], seed=seed, rounds=rounds)[0]
    return Intervals(
        precision=_middle(_shares(tp, tp + fp)),
        recall=_middle(_shares(tp, tp + fn)),
        f1=_middle(_shares(2 * tp, 2 * tp + fp + fn)),
    )


def f1_interval(
    per_patient: Sequence[Counts], *, seed: int = 0, rounds: int = BOOTSTRAP_ROUNDS
) -> tuple[float, float]:
    """Bootstrap a 95 % interval of F1 by drawing patients with replacement."""
    return intervals(per_patient, seed=seed, rounds=rounds).f1


def f1_difference_interval(
    first: Sequence[Counts],
    second: Sequence[Counts],
    *,
    seed: int = 0,
    rounds: int = BOOTSTRAP_ROUNDS,
) -> tuple[float, float]:
    """Bootstrap a 95 % interval of F1(first) - F1(second), both on the same drawn patients.

    Args:
        first: Counts of each patient under one approach.
        second: Counts of the same patients, in the same order, under another.
        seed: Of the draws.
        rounds: Number of draws.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} patients cannot be paired")
    drawn = _drawn_sums([first, second], seed=seed, rounds=rounds)
    one, other = (_shares(2 * tp, 2 * tp + fp + fn) for tp, fp, fn in drawn)
    return _middle(one - other)


def total(per_patient: Sequence[Counts]) -> Counts:
    """Add up the counts of patients."""
    return Counts(
        tp=sum(counts.tp for counts in per_patient),
        fp=sum(counts.fp for counts in per_patient),
        fn=sum(counts.fn for counts in per_patient),
        tn=sum(counts.tn for counts in per_patient),
    )


def _drawn_sums(
    groups: Sequence[Sequence[Counts]], *, seed: int, rounds: int
) -> list[NDArray[np.float64]]:
    """Sum tp, fp, fn over the same drawn patients of each group: [3, rounds] a group."""
    tables = [np.array([[c.tp, c.fp, c.fn] for c in group], np.float64) for group in groups]
    patients = len(tables[0])
    draws = np.random.default_rng(seed).integers(0, patients, (rounds, patients))
    return [table[draws].sum(axis=1).T for table in tables]


def _shares(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
