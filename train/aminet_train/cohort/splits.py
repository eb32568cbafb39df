# SPDX-License-Identifier: Apache-2.0
"""Train, validation and test by patient: drawn once, kept in a file, guarded against leaks."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputDamaged, InputInconsistent, InputMissing
from aminet_runtime.publish import write_whole

SPLITS_FILE = "splits.json"
SHARES = (0.64, 0.16, 0.20)
"""Train, validation and test, as in the source report."""


class Split(StrEnum):
    """The part that a patient plays."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


HELD_OUT = (Split.VALIDATION, Split.TEST)
"""Whom no network may have learned from."""


class SplitBy(StrEnum):
    """What is dealt to the splits."""

    PATIENT = "patient"
    SLICE = "slice"


@dataclass(frozen=True, slots=True)
class Splits:
    """Which patient is in which split.

    Attributes:
        patients: By split. No patient is in two, unless his slices are dealt: then he is in all.
        by: What was dealt.
        seed: Of the deal; None where it was not drawn.
    """

    patients: Mapping[Split, tuple[str, ...]]
    by: SplitBy = SplitBy.PATIENT
    seed: int | None = None

    def __post_init__(self) -> None:
        """Refuse a patient in two splits."""
        if self.leaking:
            return
        seen: set[str] = set()
        for split, patient_ids in self.patients.items():
            twice = seen.intersection(patient_ids)
            if twice:
                raise InputInconsistent(f"patient {min(twice)} is in {split} and in another split")
            seen.update(patient_ids)

    @property
    def leaking(self) -> bool:
        """Whether slices of one patient are on both sides."""
        return self.by is SplitBy.SLICE

    def __getitem__(self, split: Split) -> tuple[str, ...]:
        """Return the patients of one split."""
        return self.patients.get(split, ())

    def among(self, patient_ids: Collection[str]) -> "Splits":
        """Leave out who is not among these patients."""
        there = {split: tuple(n for n in self[split] if n in patient_ids) for split in Split}
        return replace(self, patients=there)

    def slices_of(self, patient_id: str, split: Split, *, slice_count: int) -> NDArray[np.int32]:
        """Return the canonical slice numbers of a patient that belong to a split, rising."""
        if self.by is SplitBy.PATIENT:
            return np.arange(slice_count, dtype=np.int32)
        dealt = slice_split(patient_id, self.seed or 0, slice_count)
        return np.flatnonzero(dealt == list(Split).index(split)).astype(np.int32)


def split_slices(patient_ids: Sequence[str], *, seed: int) -> Splits:
    """Deal the slices of each patient 64:16:20: this leaks, and exists to reproduce the report."""
    everybody = tuple(sorted(patient_ids))
    return Splits(dict.fromkeys(Split, everybody), by=SplitBy.SLICE, seed=seed)


def slice_split(patient_id: str, seed: int, slice_count: int) -> NDArray[np.int8]:
    """Deal the slices of one patient 64:16:20, the same way for the same seed and name.

    Returns:
        int8 [Z], 0 train, 1 validation, 2 test.
    """
    named = hashlib.sha256(f"{seed}:{patient_id}".encode()).digest()
    order = np.random.default_rng(int.from_bytes(named[:8], "little")).permutation(slice_count)
    dealt = np.full(slice_count, len(SHARES) - 1, np.int8)
    train, validation, _test = round_shares(slice_count)
    dealt[order[:train]] = 0
    dealt[order[train : train + validation]] = 1
    return dealt


def round_shares(count: int) -> tuple[int, int, int]:
    """Return how many of `count` are train, validation and test."""
    train, validation = (round(share * count) for share in SHARES[:2])
    return train, validation, count - train - validation


def all_in(split: Split, patient_ids: Sequence[str]) -> Splits:
    """Put a whole cohort into one split, for cohorts that are made for one purpose."""
    return Splits({split: tuple(sorted(patient_ids))})


def check_no_leak(fingerprints: Mapping[Split, Mapping[str, str]]) -> None:
    """Refuse one scan in two splits, also under two names.

    Args:
        fingerprints: For each split, patient to sha256 of the scan.

    Raises:
        InputInconsistent: Two splits share a scan; both names are in the message.
    """
    _require_apart(fingerprints, what="the same scan", hint="keep one of the two folders")


def check_groups_apart(groups: Mapping[Split, Mapping[str, str | None]]) -> None:
    """Refuse one group of patients on two sides, such as phantoms of one arterial tree.

    Args:
        groups: For each split, patient to group; patients without a group are passed by.

    Raises:
        InputInconsistent: Two splits share a group; both names are in the message.
    """
    known = {
        split: {name: group for name, group in patients.items() if group is not None}
        for split, patients in groups.items()
    }
    _require_apart(known, what="of one group", hint="prepare them in one cohort, or leave one out")


def write_splits(root: Path, splits: Splits) -> None:
    """Write `splits.json`."""
    values = {
        "by": splits.by.value,
        "seed": splits.seed,
        "leaking": splits.leaking,
        **{split.value: list(splits[split]) for split in Split},
    }
    write_whole(root / SPLITS_FILE, (json.dumps(values, indent=1) + "\n").encode())


def read_splits(root: Path) -> Splits:
    """Read `splits.json`.

    Raises:
        InputMissing: The cohort was not split yet.
        InputDamaged: The file is not what `write_splits` writes.
    """
    path = root / SPLITS_FILE
    if not path.exists():
        raise InputMissing(
            "the cohort has no splits", path=path, hint="run aminet-prepare to its end"
        )
    try:
        values = json.loads(path.read_bytes())
        patients = {split: tuple(values[split.value]) for split in Split}
        return Splits(patients, by=SplitBy(values["by"]), seed=values["seed"])
    except (ValueError, KeyError, TypeError) as cause:
        raise InputDamaged(
            f"not a file of splits: {cause}", path=path, hint="run aminet-prepare again"
        ) from cause


def is_leaking(root: Path) -> bool:
    """Whether a cohort is split in a way that leaks; False as long as it is not split."""
    return (root / SPLITS_FILE).exists() and read_splits(root).leaking


def _require_apart(owners: Mapping[Split, Mapping[str, str]], *, what: str, hint: str) -> None:
    first: dict[str, tuple[Split, str]] = {}
    for split, patients in owners.items():
        for patient_id, key in patients.items():
            other = first.setdefault(key, (split, patient_id))
            if other[0] is not split:
                raise InputInconsistent(
                    f"{patient_id} ({split}) and {other[1]} ({other[0]}) are {what}", hint=hint
                )
