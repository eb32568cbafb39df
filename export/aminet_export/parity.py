# SPDX-License-Identifier: Apache-2.0
"""How far two engines are apart on the same slices, and whether that changes a decision."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import region_probabilities
from aminet_train.thresholds import ChosenRule


@dataclass(frozen=True, slots=True)
class Parity:
    """One engine against the reference, torch.

    Attributes:
        max_difference: Largest difference in probability over all (slice, region) pairs.
        mean_difference: Mean absolute difference.
        slice_decisions_changed: Pairs (slice, region) on the other side of the slice threshold.
        slice_decisions: Pairs (slice, region) in all.
        patient_decisions_changed: Pairs (patient, region) that the decision rule turns over.
        patient_decisions: Pairs (patient, region) in all.
    """

    max_difference: float
    mean_difference: float
    slice_decisions_changed: int
    slice_decisions: int
    patient_decisions_changed: int
    patient_decisions: int

    def to_json(self) -> dict[str, float | int]:
        """Return plain JSON values."""
        return asdict(self)


def compare(
    reference: Sequence[NDArray[np.float32]],
    other: Sequence[NDArray[np.float32]],
    rule: ChosenRule,
) -> Parity:
    """Compare the scores of the same patients.

    Args:
        reference: For each patient, [Z, 15].
        other: The same slices in another engine.
        rule: Whose decisions are compared.
    """
    first, second = np.concatenate(reference), np.concatenate(other)
    difference = np.abs(first.astype(np.float64) - second)
    slice_changed = (first >= rule.slice_threshold) != (second >= rule.slice_threshold)
    patient_changed = _affected(reference, rule) != _affected(other, rule)
    return Parity(
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        slice_decisions_changed=int(slice_changed.sum()),
        slice_decisions=slice_changed.size,
        patient_decisions_changed=int(patient_changed.sum()),
        patient_decisions=patient_changed.size,
    )


def parity_table(receipt: Mapping[str, Parity]) -> str:
    """Return a Markdown table, a row an engine."""
    header = "| against torch | largest difference | mean | slice decisions changed |"
    lines = [f"{header} patient decisions changed |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {p.max_difference:.2g} | {p.mean_difference:.2g} "
        f"| {p.slice_decisions_changed} of {p.slice_decisions} "
        f"| {p.patient_decisions_changed} of {p.patient_decisions} |"
        for name, p in receipt.items()
    ]
    return "\n".join(lines)


def _affected(scores: Sequence[NDArray[np.float32]], rule: ChosenRule) -> NDArray[np.bool_]:
    reached = [region_probabilities(patient, rule.min_consecutive_slices) for patient in scores]
    return np.stack(reached) >= np.array(rule.patient_thresholds)
