# SPDX-License-Identifier: Apache-2.0
"""Train, validation and test by patient: drawn once, kept in a file, guarded against leaks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from aminet_runtime.errors import InputInconsistent, InputMissing
from aminet_runtime.publish import write_whole

SPLITS_FILE = "splits.json"
SHARES = (0.64, 0.16, 0.20)
"""Train, validation and test, as in the source report."""


class Split(StrEnum):
    """The part that a patient plays."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Splits:
    """Which patient is in which split; no patient is in two."""

    patients: Mapping[Split, tuple[str, ...]]

    def __post_init__(self) -> None:
        """Refuse a patient in two splits."""
        seen: set[str] = set()
        for split, patient_ids in self.patients.items():
            twice = seen.intersection(patient_ids)
            if twice:
                raise InputInconsistent(f"patient {min(twice)} is in {split} and in another split")
            seen.update(patient_ids)

    def __getitem__(self, split: Split) -> tuple[str, ...]:
        """Return the patients of one split."""
        return self.patients.get(split, ())


def draw_splits(patient_ids: Sequence[str], *, seed: int) -> Splits:
    """Deal patients 64:16:20, the same way for the same seed and names."""
    order = np.random.default_rng(seed).permutation(sorted(patient_ids))
    bounds = np.cumsum([round(share * len(order)) for share in SHARES[:2]])
    parts = np.split(order, bounds)
    return Splits(
        {split: tuple(sorted(map(str, part))) for split, part in zip(Split, parts, strict=True)}
    )


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
    owner: dict[str, tuple[Split, str]] = {}
    for split, patients in fingerprints.items():
        for patient_id, fingerprint in patients.items():
            other = owner.setdefault(fingerprint, (split, patient_id))
            if other[0] is not split:
                raise InputInconsistent(
                    f"{patient_id} ({split}) and {other[1]} ({other[0]}) are the same scan",
                    hint="keep one of the two folders",
                )


def write_splits(root: Path, splits: Splits) -> None:
    """Write `splits.json`."""
    values = {split.value: list(splits[split]) for split in Split}
    write_whole(root / SPLITS_FILE, (json.dumps(values, indent=1) + "\n").encode())


def read_splits(root: Path) -> Splits:
    """Read `splits.json`.

    Raises:
        InputMissing: The cohort was not split yet.
    """
    path = root / SPLITS_FILE
    if not path.exists():
        raise InputMissing(
            "the cohort has no splits", path=path, hint="run aminet-prepare to its end"
        )
    values = json.loads(path.read_bytes())
    return Splits({split: tuple(values.get(split.value, ())) for split in Split})
