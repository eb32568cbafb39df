# SPDX-License-Identifier: Apache-2.0
"""One of several patients: it gets its own result or its own error, and the others go on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_runtime.budget import Budget, watchdog
from aminet_runtime.errors import AminetError, BudgetExceeded, OutputError, UsageError
from aminet_runtime.patient import PatientFolder
from aminet_runtime.patient_name import absolute_folder, display_name, results_folder_name
from aminet_runtime.publish import require_writable_folder
from aminet_runtime.result import PatientResult
from aminet_runtime.sessions import AnySession
from aminet_runtime.supervisor import OnProgress

if TYPE_CHECKING:
    from aminet_runtime.earlier import EarlierResult
    from aminet_runtime.result_place import ResultPlace

CASE_NO_PATIENT = 10
CASE_OUTPUT_INSIDE = 11
CASE_SAME_NAME = 12
CASE_OUT_OF_MEMORY = 4


@dataclass(frozen=True, slots=True)
class PatientOutcome:
    """How one patient of a run ended.

    Attributes:
        patient: The patient's name, printable.
        ending: The result, that of an earlier run, or the error that took its place.
    """

    patient: str
    ending: "PatientResult | EarlierResult | AminetError"


def check_places(patients: Sequence[str | Path], place: "ResultPlace | None") -> None:
    """Refuse a run that would mix up patients or write into a patient's folder.

    Raises:
        UsageError: No patient is named, or one by nothing; results would land in a patient's folder
            or on each other.
        InputMissing: The current folder, which a patient is relative to, was deleted.
        OutputNotWritable: The place takes no files.
    """
    if not patients or not all(os.fspath(patient) for patient in patients):
        raise UsageError(
            "no patient folder is named", case=CASE_NO_PATIENT, hint="name one or more folders"
        )
    if place is not None:
        folders = [absolute_folder(patient) for patient in patients]
        _require_different_names(folders)
        _require_apart(folders, place)
        require_writable_folder(place.folder)


def run_patient(
    session: AnySession,
    patient: str | Path,
    *,
    budget: Budget,
    place: "ResultPlace | None" = None,
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
    ending: PatientResult | EarlierResult | AminetError
    try:
        folder = absolute_folder(patient)
        if place is None:
            with _limited(folder, budget):
                ending = session.run(folder, budget=budget, on_progress=on_progress)
        else:
            ending = _run_and_write(session, folder, place, budget, on_progress)
    except AminetError as error:
        ending = error
    return PatientOutcome(display_name(patient), ending)


def _run_and_write(
    session: AnySession,
    folder: Path,
    place: "ResultPlace",
    budget: Budget,
    on_progress: OnProgress | None,
) -> "PatientResult | EarlierResult":
    """Run a patient, and write its result and its report, or a report that says why not."""
    try:
        with _limited(folder, budget):
            earlier = place.earlier(folder, session)
            if earlier is not None:
                return earlier
            place.require_free(folder)
            keeper = place.keeper(session)
            patient = PatientFolder.open(folder)
            result = session.run(patient, budget=budget, on_progress=on_progress, observer=keeper)
            exhibits = place.exhibits(keeper, result, patient)
    except AminetError as error:
        _report_refusal(folder, place, error)
        raise
    place.write(folder, result, exhibits)
    return result


def _report_refusal(folder: Path, place: "ResultPlace", error: AminetError) -> None:
    """Write the report of a refusal; if it cannot be, say so beside what is wrong with the scan."""
    try:
        place.write_refusal(folder, error)
    except OutputError as failure:
        hint = "" if error.hint is None else f"{error.hint}; "
        error.hint = f"{hint}no report of this could be written ({failure.message})"


@contextmanager
def _limited(folder: Path, budget: Budget) -> Iterator[None]:
    """Interrupt what hangs, and translate what Python says when memory is out."""
    with watchdog(budget.deadline()):
        try:
            yield
        except MemoryError as cause:
            raise BudgetExceeded(
                "the machine has run out of memory",
                case=CASE_OUT_OF_MEMORY,
                path=folder,
                hint="close other programs, or give the container more memory",
            ) from cause


def _require_different_names(folders: Sequence[Path]) -> None:
    """Compare as Windows and macOS do, which do not tell cases apart."""
    seen: dict[str, Path] = {}
    for folder in folders:
        other = seen.setdefault(results_folder_name(folder).casefold(), folder)
        if other is not folder:
            raise UsageError(
                f"{other} and {folder} would write their results to the same place",
                case=CASE_SAME_NAME,
                hint="run them one by one with different --output",
            )


def _require_apart(folders: Sequence[Path], place: "ResultPlace") -> None:
    """Compare with links followed, since what counts is where a file would land."""
    inputs = [_real(folder) for folder in folders]
    for folder in folders:
        target = _real(place.path_for(folder).parent)
        inside = [patient for patient in inputs if target.is_relative_to(patient)]
        if inside:
            raise UsageError(
                "the results would be written into a patient's folder, which is only read",
                case=CASE_OUTPUT_INSIDE,
                path=inside[0],
                hint="choose another --output",
            )


def _real(path: Path) -> Path:
    """Follow links; what leads nowhere, such as a link to itself, is refused when it is opened."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        with suppress(OSError):
            return path.absolute()
        return path  # the current folder is gone, so nothing can be written there
