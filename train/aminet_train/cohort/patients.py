# SPDX-License-Identifier: Apache-2.0
"""The patients of one or several prepared cohorts, by split, guarded against leaks."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aminet_runtime.errors import InputInconsistent
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import (
    HELD_OUT,
    Split,
    check_groups_apart,
    check_no_leak,
    read_splits,
)

PatientsBySplit = dict[Split, list[PreparedPatient]]


def gather_patients(roots: Sequence[Path]) -> tuple[PreparedCohort, PatientsBySplit]:
    """Put the splits of prepared cohorts together, guarded against leaks.

    Returns:
        The first cohort, for preprocessing, regions and whether the splits leak, and the patients
        by split, each restricted to the slices of that split.

    Raises:
        InputInconsistent: The cohorts were prepared differently, two patients of a split have one
            name, or a scan or a group is on two sides.
    """
    cohorts = [PreparedCohort.open(root) for root in roots]
    _require_alike(cohorts)
    patients: PatientsBySplit = {
        split: [patient for cohort in cohorts for patient in _patients_of(cohort, split)]
        for split in Split
    }
    _require_each_once(patients)
    if not cohorts[0].leaking:
        check_patients_apart(patients)
    return cohorts[0], patients


def check_patients_apart(patients: PatientsBySplit) -> None:
    """Refuse splits that share a scan or a group.

    Raises:
        InputInconsistent: They do; both names are in the message.
    """
    check_no_leak(
        {split: {p.patient_id: p.fingerprint for p in group} for split, group in patients.items()}
    )
    check_groups_apart(
        {split: {p.patient_id: p.group for p in group} for split, group in patients.items()}
    )


def held_out_among(
    patients: Mapping[Split, Sequence[PreparedPatient]], fingerprints: Container[str]
) -> tuple[Split, PreparedPatient] | None:
    """Find a validation or test patient whose scan is among some, whatever he is called now.

    Returns:
        His split and himself, the first one; None if there is none.
    """
    held_out = ((split, patient) for split in HELD_OUT for patient in patients[split])
    return next((pair for pair in held_out if pair[1].fingerprint in fingerprints), None)


def require_unseen(
    patients: Mapping[Split, Sequence[PreparedPatient]], learned: Container[str], *, network: str
) -> None:
    """Refuse held-out patients that a network has learned from before.

    Args:
        patients: By split.
        learned: Fingerprints of what it has learned from.
        network: Which one, for the message.

    Raises:
        InputInconsistent: There is one.
    """
    seen = held_out_among(patients, learned)
    if seen is not None:
        split, patient = seen
        raise InputInconsistent(
            f"{network} has learned from {split} patient {patient.patient_id}",
            hint="take another one, or leave the patient out",
        )


def _require_alike(cohorts: Sequence[PreparedCohort]) -> None:
    first = cohorts[0]
    if any((c.preprocessing, c.regions) != (first.preprocessing, first.regions) for c in cohorts):
        raise InputInconsistent(
            "the cohorts were prepared with different settings", hint="prepare them alike"
        )
    if any(cohort.leaking != first.leaking for cohort in cohorts):
        raise InputInconsistent(
            "one cohort is split by patient, another by slice", hint="split them alike"
        )


def _require_each_once(patients: PatientsBySplit) -> None:
    """Refuse two patients of one name in one split: answers and guards go by the name."""
    for split, group in patients.items():
        times = Counter(patient.patient_id for patient in group)
        twice = sorted(name for name, count in times.items() if count > 1)
        if twice:
            raise InputInconsistent(
                f"{twice[0]} is twice among the {split} patients",
                hint="name a cohort once; rename one of the two folders, prepare again",
            )


def _patients_of(cohort: PreparedCohort, split: Split) -> Iterator[PreparedPatient]:
    splits = read_splits(cohort.root)
    for name in splits[split]:
        patient = cohort.patient(name)
        slices = splits.slices_of(name, split, slice_count=patient.slice_count)
        yield replace(patient, slices=slices)
