# SPDX-License-Identifier: Apache-2.0
"""A cohort of patient folders to a prepared cohort: patients, splits, report."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from aminet_runtime.errors import AminetError, InputUnsupported, OutputError
from aminet_runtime.patient import PatientFolder
from aminet_runtime.publish import write_whole
from aminet_train.cohort.deal import Candidate, deal_patients
from aminet_train.cohort.folder_source import FolderSource, file_sizes
from aminet_train.cohort.folders import cohort_regions, patient_folders
from aminet_train.cohort.page import cohort_page
from aminet_train.cohort.patients import check_patients_apart
from aminet_train.cohort.prepare_patient import PreparePlan, prepare_patient, remove_patient
from aminet_train.cohort.prepared import ALL_SLICES, PATIENT_FILE, PreparedCohort, write_cohort_file
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.report import Refusal, cohort_report, report_bytes
from aminet_train.cohort.splits import (
    SPLITS_FILE,
    Split,
    SplitBy,
    Splits,
    read_splits,
    split_slices,
    write_splits,
)
from aminet_train.workers import parallel_map

REPORT_FILE = "report.json"
PAGE_FILE = "report.html"

Progress = Callable[[int, int], None]


def prepare_cohort(
    cohort: Path,
    plan: PreparePlan,
    *,
    seed: int,
    jobs: int = 1,
    on_progress: Progress = lambda _done, _total: None,
) -> list[Refusal]:
    """Prepare all patients of a cohort, deal the splits, and report on the cohort.

    Patients that are there already are not made again unless a file of theirs has another size, so
    a stopped run goes on. Patients that were dealt before stay in their splits. One that is refused
    now leaves his, and what was prepared of him goes; should he come back, he is dealt afresh.

    Args:
        cohort: Folder of patient folders, with `regions.json` beside them.
        plan: What to make.
        seed: Of the splits, where they are not drawn yet.
        jobs: Processes.
        on_progress: Called with patients done and patients in all.

    Returns:
        The patients that were refused, each with its reason.

    Raises:
        InputMissing: There is no cohort.
        InputUnsupported: The folder was prepared or split with other settings.
        InputInconsistent: One scan or group would be in two splits.
        OutputError: The disk or the permissions do not allow it.
    """
    folders = patient_folders(cohort)
    earlier = _earlier_splits(plan)
    write_cohort_file(plan.root, plan.preprocessing, cohort_regions(cohort), kept=plan.kept)
    refusals = list(_prepare_all(folders, plan, jobs=jobs, on_progress=on_progress))
    prepared = PreparedCohort.open(plan.root)
    splits = _deal(prepared, plan, earlier, seed=seed)
    scored = {name for split in (Split.VALIDATION, Split.TEST) for name in splits[split]}
    refusals += _prepare_all(
        [folder for folder in folders if folder.name in scored],
        replace(plan, kept=ALL_SLICES),
        jobs=jobs,
        on_progress=on_progress,
    )
    splits = splits.among(prepared.patient_ids())  # without those who were refused just now
    guard_against_leaks(prepared, splits)
    write_splits(plan.root, splits)
    _write_report(plan, refusals, present=[folder.name for folder in folders])
    return refusals


def guard_against_leaks(prepared: PreparedCohort, splits: Splits) -> None:
    """Refuse splits by patient that share a scan or a group.

    Raises:
        InputInconsistent: They do; both names are in the message.
    """
    if not splits.leaking:
        check_patients_apart(
            {split: [prepared.patient(name) for name in splits[split]] for split in Split}
        )


def _earlier_splits(plan: PreparePlan) -> Splits | None:
    path = plan.root / SPLITS_FILE
    if not path.exists():
        return None
    splits = read_splits(plan.root)
    if splits.by is not plan.split_by:
        raise InputUnsupported(
            f"this folder is split by {splits.by}, not by {plan.split_by}",
            path=path,
            hint="choose another folder",
        )
    return splits


def _deal(
    prepared: PreparedCohort, plan: PreparePlan, earlier: Splits | None, *, seed: int
) -> Splits:
    names = prepared.patient_ids()
    seed = seed if earlier is None or earlier.seed is None else earlier.seed
    if plan.split_by is SplitBy.SLICE:
        return split_slices(names, seed=seed)
    candidates = [_candidate(prepared.patient(name)) for name in names]
    return deal_patients(candidates, seed=seed, dealt=earlier)


def _candidate(patient: PreparedPatient) -> Candidate:
    keys = {f"scan {patient.fingerprint}"}
    if patient.scan.facts is not None:
        keys.add(f"content {patient.scan.facts.content}")
    if patient.group is not None:
        keys.add(f"group {patient.group}")
    return Candidate(patient.patient_id, patient.truth.affected, frozenset(keys))


def _prepare_all(
    folders: Sequence[Path], plan: PreparePlan, *, jobs: int, on_progress: Progress
) -> Iterator[Refusal]:
    """Prepare those patients that are not there yet; yield who was refused."""
    waiting = [folder for folder in folders if not _is_prepared(folder, plan)]
    done = len(folders) - len(waiting)
    outcomes = parallel_map(partial(_prepare_folder, plan=plan), waiting, jobs=jobs)
    for number, refusal in enumerate(outcomes, start=done + 1):
        on_progress(number, len(folders))
        if refusal is not None:
            yield refusal


def _is_prepared(folder: Path, plan: PreparePlan) -> bool:
    """Whether a patient is there, made of files of these sizes, with the slices that are wanted."""
    if not (plan.folder_of(folder.name) / PATIENT_FILE).exists():
        return False
    try:
        patient = PreparedCohort.open(plan.root).patient(folder.name)
        files = file_sizes(PatientFolder.open(folder))
    except AminetError:
        return False
    facts = patient.scan.facts
    wants_all = plan.kept.negatives is None
    return facts is not None and facts.files == files and (patient.is_complete or not wants_all)


def _prepare_folder(folder: Path, plan: PreparePlan) -> Refusal | None:
    """Prepare a patient anew; of a scan that he had before nothing stays, even if he is refused."""
    remove_patient(folder.name, plan)
    try:
        prepare_patient(FolderSource(folder, plan.preprocessing.channels), plan)
    except OutputError:  # no fault of the patient
        raise
    except AminetError as error:
        return Refusal.of(folder, error)
    return None


def _write_report(
    plan: PreparePlan, refusals: Sequence[Refusal], *, present: Sequence[str]
) -> None:
    report = cohort_report(plan.root, refusals, present=present)
    write_whole(plan.root / REPORT_FILE, report_bytes(report))
    write_whole(plan.root / PAGE_FILE, cohort_page(report).encode())
