# SPDX-License-Identifier: Apache-2.0
"""The patients of one or several prepared cohorts, by split, guarded against leaks."""

from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.errors import InputInconsistent
from aminet_train.prepared import PreparedCohort, PreparedPatient
from aminet_train.splits import Split, check_no_leak, read_splits

PatientsBySplit = dict[Split, list[PreparedPatient]]


def gather_patients(roots: Sequence[Path]) -> tuple[PreparedCohort, PatientsBySplit]:
    """Put the splits of prepared cohorts together, guarded against leaks.

    Returns:
        The first cohort, for preprocessing and regions, and the patients by split.
    """
    cohorts = [PreparedCohort.open(root) for root in roots]
    if any(
        (c.preprocessing, c.regions) != (cohorts[0].preprocessing, cohorts[0].regions)
        for c in cohorts
    ):
        raise InputInconsistent(
            "the cohorts were prepared with different settings", hint="prepare them alike"
        )
    patients: PatientsBySplit = {split: [] for split in Split}
    for cohort in cohorts:
        splits = read_splits(cohort.root)
        for split in Split:
            patients[split] += [cohort.patient(name) for name in splits[split]]
    check_no_leak(
        {split: {p.patient_id: p.fingerprint for p in group} for split, group in patients.items()}
    )
    return cohorts[0], patients
