# SPDX-License-Identifier: Apache-2.0
"""What quantising costs: two systems on the same patients, paired, with an interval.

A system is a network and the decision rule that was chosen for it, on validation patients, with
the engine that ships. So float and INT8 are compared as a hospital would meet them, each with
thresholds of its own: the drop is what the user of the INT8 bundle loses against the user of the
float bundle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import region_probabilities
from aminet_train.metrics import BOOTSTRAP_ROUNDS, CONFIDENCE, Counts, count
from aminet_train.thresholds import ChosenRule

Scores = Sequence[NDArray[np.float32]]
"""For each patient, probabilities [Z, 15]."""

Labels = Sequence[NDArray[np.uint8]]
"""For each patient, [Z, 15]."""


class Level(StrEnum):
    """Over which pairs F1 is taken."""

    SLICE = "slice"
    PATIENT = "patient"


@dataclass(frozen=True, slots=True)
class Decided:
    """The scores of some patients, and the rule that decides on them."""

    scores: Scores
    rule: ChosenRule


@dataclass(frozen=True, slots=True)
class Drop:
    """How much F1 falls from float to what ships.

    Attributes:
        reference: F1 of the float system.
        shipped: F1 of the system that ships.
        low: Lower end of the drop's 95 % interval.
        high: Upper end.
    """

    reference: float
    shipped: float
    low: float
    high: float

    @property
    def drop(self) -> float:
        """How much is lost; below 0 where the quantised system is better."""
        return self.reference - self.shipped

    def __str__(self) -> str:
        """Return the figures for a message or a table."""
        return (
            f"F1 {self.reference:.3f} to {self.shipped:.3f}, a drop of {self.drop:.3f} "
            f"(95 % interval {self.low:.3f} to {self.high:.3f})"
        )

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return {**asdict(self), "drop": self.drop}


Drops = Mapping[Level, Drop]

PatientCounts = Mapping[Level, Sequence[Counts]]
"""At each level the pairs of each patient."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Test patients, and what two systems say about them.

    Attributes:
        patient_ids: Who they are.
        labels: Their truth.
        reference: The float system.
        shipped: The system that ships; the float system itself where that ships.
    """

    patient_ids: Sequence[str]
    labels: Labels
    reference: Decided
    shipped: Decided


def f1_drops(reference: Decided, shipped: Decided, labels: Labels, *, seed: int = 0) -> Drops:
    """Compare two systems on the same patients at both levels.

    Args:
        reference: Of the float network.
        shipped: Of the network that ships, on the same slices.
        labels: The truth.
        seed: Of the bootstrap.
    """
    first, second = patient_counts(reference, labels), patient_counts(shipped, labels)
    return drops_between(first, second, seed=seed)


def drops_between(first: PatientCounts, second: PatientCounts, *, seed: int = 0) -> Drops:
    """Compare the counts of the same patients at both levels.

    The bootstrap draws patients, and the same ones for both systems: most of what makes a patient
    hard is hard for both, and so leaves the difference.

    Args:
        first: Of the float system.
        second: Of the system that ships.
        seed: Of the bootstrap.
    """
    patients = len(first[Level.PATIENT])
    draws = np.random.default_rng(seed).integers(0, patients, (BOOTSTRAP_ROUNDS, patients))
    return {level: _drop(first[level], second[level], draws) for level in Level}


def patient_counts(system: Decided, labels: Labels) -> dict[Level, list[Counts]]:
    """Count the pairs of each patient at both levels."""
    truth = [patient.astype(bool) for patient in labels]
    flags = [patient >= system.rule.slice_threshold for patient in system.scores]
    flagged = affected_regions(system)
    affected = np.stack([patient.any(axis=0) for patient in truth])
    return {
        Level.SLICE: [count(f, t) for f, t in zip(flags, truth, strict=True)],
        Level.PATIENT: [count(f, t) for f, t in zip(flagged, affected, strict=True)],
    }


def affected_regions(system: Decided) -> NDArray[np.bool_]:
    """Return which regions the rule flags, [P, 15]."""
    run = system.rule.min_consecutive_slices
    reached = np.stack([region_probabilities(patient, run) for patient in system.scores])
    flagged: NDArray[np.bool_] = reached >= np.array(system.rule.patient_thresholds)
    return flagged


def total_f1(per_patient: Sequence[Counts]) -> float:
    """Return the micro-averaged F1 of all patients together."""
    return float(_f1(_table(per_patient).sum(axis=0)))


def largest_drop(drops: Drops) -> float:
    """Return the drop at the level that loses more."""
    return max(drop.drop for drop in drops.values())


def _drop(first: Sequence[Counts], second: Sequence[Counts], draws: NDArray[np.int64]) -> Drop:
    differences = _f1(_table(first)[draws].sum(axis=1)) - _f1(_table(second)[draws].sum(axis=1))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return Drop(total_f1(first), total_f1(second), float(low), float(high))


def _table(per_patient: Sequence[Counts]) -> NDArray[np.float64]:
    return np.array([[c.tp, c.fp, c.fn] for c in per_patient], dtype=np.float64)


def _f1(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of counts [..., 3]; 0/0 is 0."""
    tp, fp, fn = np.moveaxis(table, -1, 0)
    pairs = 2 * tp + fp + fn
    f1: NDArray[np.float64] = np.divide(2 * tp, pairs, out=np.zeros_like(pairs), where=pairs > 0)
    return f1
