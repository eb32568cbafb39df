# SPDX-License-Identifier: Apache-2.0
"""From slice scores to regions: one rule, shared by the runtime and by the evaluation in train.

A region's probability is the highest value that its scores reach in `min_consecutive_slices` slices
in a row. So `affected` is exactly `probability >= threshold`: there is nothing else to know.

Scores are [Z, R] here, Z slices from the lowest to the highest and R regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """When a region counts as affected.

    Attributes:
        thresholds: For each region in (0, 1]; None where validation allowed no choice, and then
            the region is not assessed.
        min_consecutive_slices: Slices in a row that must reach the threshold, at least 1.
    """

    thresholds: tuple[float | None, ...]
    min_consecutive_slices: int

    def __post_init__(self) -> None:
        """Refuse a rule that could flag everything."""
        known = [threshold for threshold in self.thresholds if threshold is not None]
        if not all(0.0 < threshold <= 1.0 for threshold in known):
            raise ValueError(f"thresholds {self.thresholds}: one is not in (0, 1]")
        if self.min_consecutive_slices < 1:
            raise ValueError(f"min_consecutive_slices {self.min_consecutive_slices} is below 1")


@dataclass(frozen=True, slots=True)
class RegionFinding:
    """What was found in one region.

    Attributes:
        index: Region number, which is its value in the atlas.
        name: Region name, from the bundle.
        affected: Whether the region is flagged; None where it could not be assessed.
        probability: What the rule compared with the threshold, 0..1; None if not assessed.
        threshold: The region's threshold; None if not assessed.
        slices: Canonical numbers of the slices that made it affected; empty if it is not.
        peak_slice: Canonical number of the slice with the highest score; among `slices` if there
            are any; None if not assessed.
    """

    index: int
    name: str
    affected: bool | None
    probability: float | None
    threshold: float | None
    slices: tuple[int, ...]
    peak_slice: int | None


def region_probabilities(
    scores: NDArray[np.float32], min_consecutive_slices: int
) -> NDArray[np.float32]:
    """Reduce the scores of a patient to one value a region.

    A scan with fewer slices than the rule asks for is judged by all of its slices.

    Args:
        scores: float32 [Z, R] in 0..1, at least one slice, in anatomical order.
        min_consecutive_slices: Slices in a row that must reach the value, at least 1.

    Returns:
        float32 [R]: the highest value that some run of slices reaches throughout.
    """
    if scores.ndim != 2 or scores.shape[0] == 0:
        raise ValueError(f"scores of shape {scores.shape}: [Z, R] with Z > 0 is needed")
    run = min(max(min_consecutive_slices, 1), scores.shape[0])
    windows = np.lib.stride_tricks.sliding_window_view(scores, run, axis=0)  # [Z - run + 1, R, run]
    reached: NDArray[np.float32] = windows.min(axis=2).max(axis=0)
    return reached


def find_regions(
    scores: NDArray[np.float32], rule: DecisionRule, *, names: Sequence[str]
) -> tuple[RegionFinding, ...]:
    """Decide for each region.

    Args:
        scores: float32 [Z, R] in 0..1, finite, in anatomical order.
        rule: Thresholds of the R regions and slices in a row.
        names: Names of the R regions.
    """
    regions = zip(names, rule.thresholds, strict=True)
    return tuple(
        _not_assessed(index, name)
        if threshold is None
        else _assess(
            scores[:, index],
            index=index,
            name=name,
            threshold=threshold,
            min_consecutive_slices=rule.min_consecutive_slices,
        )
        for index, (name, threshold) in enumerate(regions)
    )


def _not_assessed(index: int, name: str) -> RegionFinding:
    return RegionFinding(index, name, None, None, None, (), None)


def _assess(
    scores: NDArray[np.float32],
    *,
    index: int,
    name: str,
    threshold: float,
    min_consecutive_slices: int,
) -> RegionFinding:
    """Judge the scores [Z] of one region."""
    probability = float(region_probabilities(scores[:, np.newaxis], min_consecutive_slices)[0])
    in_runs = _slices_in_runs(scores.astype(np.float64) >= threshold, min_consecutive_slices)
    flagged = np.flatnonzero(in_runs)
    candidates = flagged if flagged.size else np.arange(scores.size)
    return RegionFinding(
        index=index,
        name=name,
        affected=probability >= threshold,
        probability=probability,
        threshold=threshold,
        slices=tuple(flagged.tolist()),
        peak_slice=int(candidates[np.argmax(scores[candidates])]),
    )


def _slices_in_runs(reached: NDArray[np.bool_], min_consecutive: int) -> NDArray[np.bool_]:
    """Keep the slices of [Z] that stand in a run which is long enough."""
    run = min(min_consecutive, reached.size)
    starts = np.lib.stride_tricks.sliding_window_view(reached, run).all(axis=1)
    kept = np.zeros_like(reached)
    for offset in range(run):
        kept[offset : offset + starts.size] |= starts
    return kept
