# SPDX-License-Identifier: Apache-2.0
"""What each stage on the way from torch to the shipped network changes, on held-out patients."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_export.accuracy import Decided, Labels, flagged_regions, patient_counts
from aminet_train.levels import Level
from aminet_train.metrics import total
from aminet_train.thresholds import ChosenRule


@dataclass(frozen=True, slots=True)
class Parity:
    """One stage against the reference, torch.

    Attributes:
        max_difference: Largest difference in probability over all (slice, region) pairs.
        mean_difference: Mean absolute difference.
        slice_changes_by_region: For each region, slices on the other side of the slice threshold.
        slice_decisions: Pairs (slice, region) in all.
        patient_changes: For each patient, regions that the decision rule turns over.
        patient_decisions: Pairs (patient, region) in all.
        f1: At each level, with the rule that ships; empty where the truth is not known.
    """

    max_difference: float
    mean_difference: float
    slice_changes_by_region: tuple[int, ...]
    slice_decisions: int
    patient_changes: tuple[int, ...]
    patient_decisions: int
    f1: Mapping[Level, float]

    @property
    def slice_decisions_changed(self) -> int:
        """Pairs (slice, region) on the other side of the slice threshold."""
        return sum(self.slice_changes_by_region)

    @property
    def patient_decisions_changed(self) -> int:
        """Pairs (patient, region) that the decision rule turns over."""
        return sum(self.patient_changes)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {**asdict(self), "f1": {level.value: f1 for level, f1 in self.f1.items()}}


def compare(
    reference: Sequence[NDArray[np.float32]],
    other: Sequence[NDArray[np.float32]],
    rule: ChosenRule,
    labels: Labels | None = None,
) -> Parity:
    """Compare the scores of the same patients.

    Args:
        reference: For each patient, [Z, 15].
        other: The same slices at another stage.
        rule: Whose decisions are compared.
        labels: The truth, for each patient [Z, 15], where it is known.
    """
    first, second = np.concatenate(reference), np.concatenate(other)
    difference = np.abs(first.astype(np.float64) - second)
    slice_changed = (first >= rule.slice_threshold) != (second >= rule.slice_threshold)
    system = Decided(other, rule)
    patient_changed = flagged_regions(Decided(reference, rule)) != flagged_regions(system)
    counts = {} if labels is None else patient_counts(system, labels)
    return Parity(
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        slice_changes_by_region=tuple(slice_changed.sum(axis=0).tolist()),
        slice_decisions=slice_changed.size,
        patient_changes=tuple(patient_changed.sum(axis=1).tolist()),
        patient_decisions=patient_changed.size,
        f1={level: total(per_patient).f1 for level, per_patient in counts.items()},
    )


def largest_difference(
    first: Sequence[NDArray[np.float32]], second: Sequence[NDArray[np.float32]]
) -> float:
    """Return the largest difference in probability between two stages."""
    pairs = zip(first, second, strict=True)
    return max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in pairs)


def parity_table(receipt: Mapping[str, Parity], *, reference: str = "torch") -> str:
    """Return a Markdown table, a row a stage, each against the reference."""
    head = f"| stage | largest difference to {reference} | mean | slice decisions changed |"
    lines = [
        f"{head} patient decisions changed | slice F1 | patient F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {p.max_difference:.2g} | {p.mean_difference:.2g} "
        f"| {p.slice_decisions_changed} of {p.slice_decisions} "
        f"| {p.patient_decisions_changed} of {p.patient_decisions} "
        f"| {_f1(p, Level.SLICE)} | {_f1(p, Level.PATIENT)} |"
        for name, p in receipt.items()
    ]
    return "\n".join(lines)


def _f1(parity: Parity, level: Level) -> str:
    return f"{parity.f1[level]:.3f}" if level in parity.f1 else ""
