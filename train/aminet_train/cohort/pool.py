# SPDX-License-Identifier: Apache-2.0
"""Prepared cohorts of several kinds side by side: each model takes those that it can read.

Models of different channels, windows or sizes are compared on the same patients, but each needs
cohorts that were prepared its own way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aminet_runtime.errors import InputMissing
from aminet_train.cohort.patients import PatientsBySplit, gather_patients
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.preprocessing import PreprocessingConfig


@dataclass(frozen=True, slots=True)
class PatientPool:
    """Cohorts by the way in which they were prepared.

    Attributes:
        kinds: Preprocessing to the patients of all cohorts that were prepared so.
        leaking: Whether a cohort is split by slices.
    """

    kinds: Mapping[PreprocessingConfig, PatientsBySplit]
    leaking: bool

    @classmethod
    def open(cls, roots: Sequence[Path]) -> "PatientPool":
        """Open cohorts, those of one kind together, guarded against leaks.

        Raises:
            InputMissing: There is no prepared cohort.
            InputInconsistent: Cohorts of one kind share a scan over splits, or two of their
                patients in one split have one name.
        """
        alike: dict[PreprocessingConfig, list[Path]] = {}
        for root in roots:
            alike.setdefault(PreparedCohort.open(root).preprocessing, []).append(root)
        gathered = {kind: gather_patients(group) for kind, group in alike.items()}
        return cls(
            kinds={kind: patients for kind, (_cohort, patients) in gathered.items()},
            leaking=any(cohort.leaking for cohort, _patients in gathered.values()),
        )

    def of_kind(
        self, preprocessing: PreprocessingConfig, splits: Sequence[Split], *, label: str
    ) -> list[PreparedPatient]:
        """Return the patients of some splits that were prepared as a model wants them.

        Raises:
            InputMissing: No cohort was prepared so; the message says what is wanted.
        """
        if preprocessing not in self.kinds:
            there = "; ".join(sorted(_describe(kind) for kind in self.kinds))
            raise InputMissing(
                f"{label} reads {_describe(preprocessing)}, the cohorts hold {there}",
                hint="add a cohort that was prepared so",
            )
        return [patient for split in splits for patient in self.kinds[preprocessing][split]]

    def of_any_kind(self, splits: Sequence[Split]) -> list[PreparedPatient]:
        """Return the patients of the first kind, for what does not look at images."""
        first = next(iter(self.kinds.values()))
        return [patient for split in splits for patient in first[split]]


def _describe(kind: PreprocessingConfig) -> str:
    height, width = kind.size_px
    windows = ",".join(f"{low:g}:{high:g}" for views in kind.views_hu for low, high in views)
    return f"{'+'.join(kind.channels)} at {height} x {width}, windows {windows}"
