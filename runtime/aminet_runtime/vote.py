# SPDX-License-Identifier: Apache-2.0
"""Majority vote of an ensemble's members, on decisions and not on probabilities.

Each member decides by its own thresholds and its own slices in a row, so members need not be
calibrated alike. In a result the `probability` of a region is the share of members that flag it,
and the `threshold` the share that is needed, so `affected` is `probability >= threshold` as ever.
A member that does not assess a region abstains; where its vote could turn the majority, the region
is not assessed.

Scores are [Z, R] here, Z slices from the lowest to the highest and R regions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import DecisionRule, RegionFinding


def votes_needed(members: int) -> int:
    """Return how many votes are more than half."""
    return members // 2 + 1


def slice_votes(
    scores: Sequence[NDArray[np.float32]], rules: Sequence[DecisionRule]
) -> NDArray[np.float32]:
    """Return the share of members that reach their threshold in each slice: float32 [Z, R].

    Args:
        scores: Of each member, float32 [Z, R].
        rules: Of each member; the slices in a row do not matter for single slices.
    """
    votes = sum(
        member.astype(np.float64) >= _thresholds(rule)
        for member, rule in zip(scores, rules, strict=True)
    )
    return (np.asarray(votes, np.float64) / len(scores)).astype(np.float32)


def vote(
    findings: Sequence[Sequence[RegionFinding]],
    scores: Sequence[NDArray[np.float32]],
    votes: NDArray[np.float32],
) -> tuple[RegionFinding, ...]:
    """Decide for each region.

    Args:
        findings: Of each member, for all regions.
        scores: Of each member, float32 [Z, R]; they tell slices with as many votes apart.
        votes: What `slice_votes` returned.
    """
    mean = np.mean(scores, axis=0)
    return tuple(
        _vote_on(region, votes[:, index], mean[:, index])
        for index, region in enumerate(zip(*findings, strict=True))
    )


def _thresholds(rule: DecisionRule) -> NDArray[np.float64]:
    """Return the thresholds [R]; nothing reaches that of a region which is not assessed."""
    return np.array([np.inf if one is None else one for one in rule.thresholds])


def _vote_on(
    region: Sequence[RegionFinding], votes: NDArray[np.float32], mean: NDArray[np.float32]
) -> RegionFinding:
    """Decide for one region by its findings of all members and its scores [Z]."""
    first, needed = region[0], votes_needed(len(region))
    ayes = sum(finding.affected is True for finding in region)
    abstained = sum(finding.affected is None for finding in region)
    if ayes < needed <= ayes + abstained:
        return RegionFinding(first.index, first.name, None, None, None, (), None)
    affected = ayes >= needed
    agreed = np.flatnonzero(votes >= np.float32(needed / len(region))) if affected else _NO_SLICES
    candidates = agreed if agreed.size else np.arange(votes.size)
    best = np.lexsort((candidates, -mean[candidates], -votes[candidates]))[0]
    return RegionFinding(
        index=first.index,
        name=first.name,
        affected=affected,
        probability=ayes / len(region),
        threshold=needed / len(region),
        slices=tuple(agreed.tolist()),
        peak_slice=int(candidates[best]),
    )


_NO_SLICES = np.array([], np.intp)
