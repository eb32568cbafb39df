# SPDX-License-Identifier: Apache-2.0
"""What quantising costs: two systems on the same patients, paired, with an interval.

A system is a network and the decision rule that was chosen for it, on validation patients, with
the engine that ships. So float and INT8 are compared as a hospital would meet them, each with
thresholds of its own: the drop is what the user of the INT8 bundle loses against the user of the
float bundle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_train.judging.answers import PatientAnswer, answer, count_patients
from aminet_train.levels import Level
from aminet_train.metrics import Counts, f1_difference_interval, total
from aminet_train.thresholds import ChosenRule

Scores = Sequence[NDArray[np.float32]]
"""For each patient, probabilities [Z, 15]."""

Labels = Sequence[NDArray[np.uint8]]
"""For each patient, [Z, 15]."""


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
    return {level: _drop(first[level], second[level], seed=seed) for level in Level}


def patient_counts(system: Decided, labels: Labels) -> dict[Level, list[Counts]]:
    """Count the pairs of each patient at both levels."""
    return answer_counts(_answers(system), labels)


def answer_counts(answers: Sequence[PatientAnswer], labels: Labels) -> dict[Level, list[Counts]]:
    """Count the pairs of each patient at both levels, for answers that were decided before."""
    at_slices, at_patients = count_patients(answers, labels)
    return {Level.SLICE: at_slices, Level.PATIENT: at_patients}


def flagged_regions(system: Decided) -> NDArray[np.bool_]:
    """Return which regions the rule flags, [P, 15]."""
    return np.stack([answered.region_flags for answered in _answers(system)])


def largest_drop(drops: Drops) -> float:
    """Return the drop at the level that loses more."""
    return max(drop.drop for drop in drops.values())


def _answers(system: Decided) -> list[PatientAnswer]:
    return [answer(patient, system.rule) for patient in system.scores]


def _drop(first: Sequence[Counts], second: Sequence[Counts], *, seed: int) -> Drop:
    low, high = f1_difference_interval(first, second, seed=seed)
    return Drop(total(first).f1, total(second).f1, low, high)
