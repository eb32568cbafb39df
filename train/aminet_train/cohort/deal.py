# SPDX-License-Identifier: Apache-2.0
"""Deal patients to train, validation and test so that each split sees each region.

Patients are dealt by lot in the right numbers. Then pairs of two splits change places as long as
that brings the regions nearer to their shares. Iterative stratification, as packages offer it
(iterative-stratification, scikit-multilearn), deals folds of equal size and knows neither groups
nor patients that were dealt before; a greedy deal of that kind came out worse than swapping.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.regions import REGION_COUNT
from aminet_train.cohort.splits import SHARES, Split, Splits, round_shares

GAIN = 1e-9
"""A swap must better the balance by more than rounding."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A patient who is to be dealt.

    Attributes:
        patient_id: Name.
        regions: bool [15], where there is clot.
        keys: Patients who share a key belong to one side: the scan, its content, a group.
    """

    patient_id: str
    regions: NDArray[np.bool_]
    keys: frozenset[str] = frozenset()


def deal_patients(
    candidates: Sequence[Candidate], *, seed: int, dealt: Splits | None = None
) -> Splits:
    """Deal patients 64:16:20, balanced over regions.

    Args:
        candidates: All patients, also those who were dealt before.
        seed: The same seed and patients give the same splits, in whatever order they come.
        dealt: Splits of an earlier run; those of its patients who are still there stay where they
            are. The others are forgotten: who comes back later is dealt afresh.
    """
    dealt = dealt and dealt.among({candidate.patient_id for candidate in candidates})
    units = _units(sorted(candidates, key=lambda candidate: candidate.patient_id))
    fixed = _earlier_sides(units, dealt)
    generator = np.random.default_rng(seed)
    sides = _draw(units, fixed, generator)
    _swap(units, sides, movable=[u for u in range(len(units)) if u not in fixed])
    names: dict[Split, list[str]] = {split: list(dealt[split]) if dealt else [] for split in Split}
    known = {name for group in names.values() for name in group}
    for place, side in enumerate(sides.tolist()):
        new = [name for name in units[place].names if name not in known]
        names[list(Split)[side]] += new
    return Splits({split: tuple(sorted(group)) for split, group in names.items()}, seed=seed)


@dataclass(frozen=True, slots=True)
class _Unit:
    """Patients who belong to one side, and how many of them have clot in each region."""

    names: tuple[str, ...]
    regions: NDArray[np.float64]


def _units(candidates: Sequence[Candidate]) -> list[_Unit]:
    """Put together who shares a key, directly or through others."""
    members: dict[int, list[Candidate]] = {}
    owner: dict[str, int] = {}
    for number, candidate in enumerate(candidates):
        touched = {owner[key] for key in candidate.keys if key in owner}
        joined = [candidate]
        for other in sorted(touched):
            joined = members.pop(other) + joined
        members[number] = joined
        owner.update({key: number for member in joined for key in member.keys})
    return [
        _Unit(
            names=tuple(sorted(member.patient_id for member in group)),
            regions=np.sum([member.regions for member in group], axis=0, dtype=np.float64),
        )
        for group in members.values()
    ]


def _earlier_sides(units: Sequence[_Unit], dealt: Splits | None) -> dict[int, int]:
    """Find the side of units of which a patient was dealt before; others of it follow him."""
    if dealt is None:
        return {}
    side_of = {name: side for side, split in enumerate(Split) for name in dealt[split]}
    return {
        place: next(side_of[name] for name in unit.names if name in side_of)
        for place, unit in enumerate(units)
        if any(name in side_of for name in unit.names)
    }


def _draw(
    units: Sequence[_Unit], fixed: Mapping[int, int], generator: np.random.Generator
) -> NDArray[np.intp]:
    """Draw a side for each unit, large units first, so that the numbers of patients come out."""
    sizes = np.array([len(unit.names) for unit in units], np.intp)
    wanted = np.array(round_shares(int(sizes.sum())), np.int64)
    sides = np.full(len(units), -1, np.intp)
    for place, side in fixed.items():
        sides[place] = side
        wanted[side] -= sizes[place]
    order = generator.permutation(len(units))
    for place in order[np.argsort(-sizes[order], kind="stable")].tolist():
        if sides[place] < 0:
            sides[place] = int(wanted.argmax())
            wanted[sides[place]] -= sizes[place]
    return sides


def _swap(units: Sequence[_Unit], sides: NDArray[np.intp], *, movable: Sequence[int]) -> None:
    """Let units of one size change sides, each with its best partner, while that is a gain."""
    sizes = np.array([len(unit.names) for unit in units], np.intp)
    regions = np.array([unit.regions for unit in units]).reshape(-1, REGION_COUNT)
    shares = np.array(SHARES)
    total = regions.sum(axis=0)
    has = np.array([regions[sides == side].sum(axis=0) for side in range(len(shares))])
    excess = has - np.outer(shares, total)  # [3, 15]
    # a patient too many weighs more in a small split and in a rare region
    weight = 1 / np.outer(shares, np.maximum(total, 1))
    partners = np.array(movable, np.intp)
    settled = False
    while not settled:
        settled = True
        for place in movable:
            here, there = int(sides[place]), sides[partners]
            moved = regions[partners] - regions[place]  # [n, 15]
            change = (weight[here] * moved * (2 * excess[here] + moved)).sum(axis=1)
            change += (weight[there] * moved * (moved - 2 * excess[there])).sum(axis=1)
            change[(there == here) | (sizes[partners] != sizes[place])] = 0.0
            best = int(change.argmin())
            if change[best] < -GAIN:
                other = int(partners[best])
                excess[here] += moved[best]
                excess[sides[other]] -= moved[best]
                sides[place], sides[other] = sides[other], here
                settled = False
