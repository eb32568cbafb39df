# SPDX-License-Identifier: Apache-2.0
"""One of several patients: it gets its own result or its own error, and the others go on."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aminet_runtime.budget import Budget, watchdog
from aminet_runtime.errors import AminetError, BudgetExceeded, UsageError, printable
from aminet_runtime.patient import PatientFolder
from aminet_runtime.publish import (
    refuse_existing,
    require_writable_folder,
    write_new,
    write_whole,
)
from aminet_runtime.result import PatientResult, to_json_file
from aminet_runtime.session import Session
from aminet_runtime.supervisor import OnProgress

RESULT_FILE = "result.json"

CASE_NO_PATIENT = 10
CASE_OUTPUT_INSIDE = 11
CASE_SAME_NAME = 12
CASE_OUT_OF_MEMORY = 4

ToJson = Callable[[PatientResult], dict[str, object]]


@dataclass(frozen=True, slots=True)
class PatientOutcome:
    """How one patient of a run ended.

    Attributes:
        patient: The patient's name, printable.
        ending: The result, or the error that took its place.
    """

    patient: str
    ending: PatientResult | AminetError


@dataclass(frozen=True, slots=True)
class ResultPlace:
    """Where results are written.

    Attributes:
        folder: Gets a folder for each patient, with `result.json` in it.
        to_json: Makes the content of the file.
        keeps_existing: Refuse a patient whose result is there already, instead of replacing it.
    """

    folder: Path
    to_json: ToJson
    keeps_existing: bool = False

    def path_for(self, patient: Path) -> Path:
        """Return the file for the result of a patient folder."""
        return self.folder / _name_of(patient) / RESULT_FILE

    def require_free(self, patient: Path) -> None:
        """Refuse, before the work, a result that must not be replaced.

        Raises:
            OutputExists: It is there, and is to be kept.
        """
        if self.keeps_existing:
            refuse_existing(self.path_for(patient))

    def write(self, patient: Path, result: PatientResult) -> None:
        """Write the result of a patient, whole or not at all.

        Raises:
            OutputExists: It is there, and is to be kept.
            OutputNotWritable: It cannot be written.
        """
        write = write_new if self.keeps_existing else write_whole
        write(self.path_for(patient), to_json_file(self.to_json(result)))


def check_places(patients: Sequence[str | Path], place: ResultPlace | None) -> None:
    """Refuse a run that would mix up patients or write into a patient's folder.

    Raises:
        UsageError: No patient is named, or one by nothing; results would land in a patient's folder
            or on each other.
        OutputNotWritable: The place takes no files.
    """
    if not patients or not all(os.fspath(patient) for patient in patients):
        raise UsageError(
            "no patient folder is named", case=CASE_NO_PATIENT, hint="name one or more folders"
        )
    if place is not None:
        folders = [_absolute(patient) for patient in patients]
        _require_different_names(folders)
        _require_apart(folders, place)
        require_writable_folder(place.folder)


def display_name(patient: str | Path) -> str:
    """Return a patient's name for people: that of the folder, printable."""
    return printable(_name_of(_absolute(patient)))


def run_patient(
    session: Session,
    patient: str | Path,
    *,
    budget: Budget,
    place: ResultPlace | None = None,
    on_progress: OnProgress | None = None,
) -> PatientOutcome:
    """Run one patient of several; an error becomes its outcome and stops none of the others.

    The alarm signal of the process guards the time limit, so this is for commands.

    Args:
        session: What runs.
        patient: A patient's folder.
        budget: Limits of this patient.
        place: Where the result is written, if anywhere; `check_places` has passed it.
        on_progress: Called after each slice.

    Returns:
        The result, which is written by then, or the error.
    """
    folder = _absolute(patient)
    try:
        result = _run_one(session, folder, budget=budget, place=place, on_progress=on_progress)
    except AminetError as error:
        return PatientOutcome(display_name(folder), error)
    return PatientOutcome(result.patient, result)


def _run_one(
    session: Session,
    folder: Path,
    *,
    budget: Budget,
    place: ResultPlace | None,
    on_progress: OnProgress | None,
) -> PatientResult:
    with watchdog(budget.deadline()):
        if place is not None:
            place.require_free(folder)
        try:
            patient = PatientFolder.open(folder)
            result = session.run(patient, budget=budget, on_progress=on_progress)
        except MemoryError as cause:
            raise BudgetExceeded(
                "the machine has run out of memory",
                case=CASE_OUT_OF_MEMORY,
                path=folder,
                hint="close other programs, or give the container more memory",
            ) from cause
    if place is not None:
        place.write(folder, result)
    return result


def _absolute(patient: str | Path) -> Path:
    """Return the folder as `PatientFolder` names it: absolute, links not followed."""
    return Path(os.path.abspath(patient))  # noqa: PTH100 - resolves `..`, keeps a link's name


def _name_of(patient: Path) -> str:
    return patient.name or "unnamed"


def _require_different_names(folders: Sequence[Path]) -> None:
    """Compare as Windows and macOS do, which do not tell cases apart."""
    seen: dict[str, Path] = {}
    for folder in folders:
        other = seen.setdefault(_name_of(folder).casefold(), folder)
        if other is not folder:
            raise UsageError(
                f"{other} and {folder} would write their results to the same place",
                case=CASE_SAME_NAME,
                hint="run them one by one with different --output",
            )


def _require_apart(folders: Sequence[Path], place: ResultPlace) -> None:
    """Compare with links followed, since what counts is where a file would land."""
    inputs = [folder.resolve() for folder in folders]
    for folder in folders:
        target = place.path_for(folder).parent.resolve()
        inside = [patient for patient in inputs if target.is_relative_to(patient)]
        if inside:
            raise UsageError(
                "the results would be written into a patient's folder, which is only read",
                case=CASE_OUTPUT_INSIDE,
                path=inside[0],
                hint="choose another --output",
            )
