# SPDX-License-Identifier: Apache-2.0
"""Several patients at once: processes that each open one session and take patient after patient.

A worker is started afresh (`spawn`), since OpenVINO does not survive a fork. It ends when its pipe
closes, so none outlives the command, however that ends. A worker that dies costs its own patient
only, or none if it was at none; another one takes its place, and if the system starts none, the
others do its work.
"""

import logging
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from aminet_runtime.batch import PatientOutcome, run_patient
from aminet_runtime.budget import Budget, watchdog
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.engines.openvino_import import skip_model_converter
from aminet_runtime.errors import AminetError, BudgetExceeded, InternalError
from aminet_runtime.patient_name import display_name
from aminet_runtime.result_place import ResultPlace
from aminet_runtime.sessions import AnySession, open_session
from aminet_runtime.signals import terminating_cleanly
from aminet_runtime.threads import available_threads
from aminet_runtime.worker_start import as_start_errors

_LOGGER = logging.getLogger(__name__)

CASE_WORKER_KILLED = 6
CASE_WORKER_DIED = 1
SECONDS_TO_END = 10.0

MAX_VAIN_DEATHS = 3
"""For each job: workers that die one after the other while no patient gets done. More of them show
that none will live."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What each worker needs to know.

    Attributes:
        bundle: The bundle's folder; the one that comes with the package if None.
        engine: What runs the network.
        threads: Threads of one inference.
        budget: Limits of each patient and each process.
        place: Where results are written, if anywhere.
    """

    bundle: Path | None
    engine: EngineName
    threads: int
    budget: Budget
    place: ResultPlace | None


def threads_for_each(jobs: int, threads: int | None) -> int:
    """Split threads evenly: as many for each job as for any other, at least one.

    Args:
        jobs: Processes.
        threads: For all together; what this process may use if None.
    """
    return max(1, (threads or available_threads()) // jobs)


def run_patients(patients: Sequence[str], plan: Plan, *, jobs: int) -> Iterator[PatientOutcome]:
    """Run patients in several processes.

    Args:
        patients: Their folders.
        plan: What each process needs to know.
        jobs: Processes, if there is work for as many.

    Yields:
        The outcome of each patient, in the order of the patients.

    Raises:
        BudgetExceeded: The system starts no process, or none in the place of the last one.
        AminetError: The bundle cannot be opened, or no worker lives long enough to do so.
    """
    outcomes: dict[int, PatientOutcome] = {}
    upcoming = 0
    with _Crew(patients, plan, size=jobs) as crew:
        for number, outcome in crew.outcomes():
            outcomes[number] = outcome
            while upcoming in outcomes:
                yield outcomes.pop(upcoming)
                upcoming += 1


class _Crew:
    """The workers of one run, and the patients that wait for one."""

    def __init__(self, patients: Sequence[str], plan: Plan, *, size: int) -> None:
        self._patients = patients
        self._plan = plan
        self._waiting = deque(range(len(patients)))
        self._size = size
        self._workers: list[_Worker] = []
        self._vain_deaths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as ends:
            for worker in self._workers:
                ends.callback(worker.end)
        for worker in self._workers:
            worker.join()

    def outcomes(self) -> Iterator[tuple[int, PatientOutcome]]:
        """Yield number and outcome of each patient, as they come."""
        while self._waiting or self._workers:
            self._hire()
            ready = wait([worker.connection for worker in self._workers])
            for worker in [one for one in self._workers if one.connection in ready]:
                yield from self._hear(worker)

    def _hire(self) -> None:
        """Start as many workers as there is work for, and as the system gives."""
        idle = sum(worker.patient is None for worker in self._workers)
        while len(self._workers) < self._size and idle < len(self._waiting):
            try:
                self._workers.append(_Worker(self._plan))
            except BudgetExceeded as refusal:
                if not self._workers:
                    raise
                self._size = len(self._workers)
                _LOGGER.warning("%s: going on with %d", refusal.message, self._size)
            else:
                idle += 1

    def _hear(self, worker: "_Worker") -> Iterator[tuple[int, PatientOutcome]]:
        """Take what a worker says, and give it its next patient or send it home."""
        number = worker.patient
        try:
            said: PatientOutcome | AminetError | None = worker.connection.recv()
        except (EOFError, OSError):  # the latter if it died in the middle of a word
            self._bury(worker)
            if number is None:
                self._bear(worker)
                return
            said = worker.cause_of_death("the process of this patient")
        if number is None:
            if isinstance(said, AminetError):
                raise said
        elif said is not None:
            self._vain_deaths = 0
            yield number, self._as_outcome(number, said)
        self._assign(worker)

    def _as_outcome(self, number: int, said: PatientOutcome | AminetError) -> PatientOutcome:
        if isinstance(said, PatientOutcome):
            return said
        return PatientOutcome(display_name(self._patients[number]), said)

    def _bury(self, worker: "_Worker") -> None:
        self._workers.remove(worker)
        worker.end()
        worker.join()

    def _bear(self, worker: "_Worker") -> None:
        """Go on after a death that cost no patient, unless nothing else happens."""
        self._vain_deaths += 1
        if self._vain_deaths > MAX_VAIN_DEATHS * self._size:
            raise worker.cause_of_death("one process after the other")

    def _assign(self, worker: "_Worker") -> None:
        if worker not in self._workers:
            return
        if self._waiting:
            self._send_patient(worker)
        else:
            self._workers.remove(worker)
            worker.connection.close()  # it goes home
            worker.join()

    def _send_patient(self, worker: "_Worker") -> None:
        """Give a worker the next patient, who goes on waiting if the worker has died meanwhile."""
        number = self._waiting.popleft()
        try:
            worker.connection.send(self._patients[number])
        except OSError:
            self._waiting.appendleft(number)
            self._bury(worker)
            self._bear(worker)
        else:
            worker.patient = number


class _Worker:
    """One process and the pipe to it.

    Attributes:
        connection: It says None once its session is open, then an outcome for each patient.
        patient: Number of the patient that it is at.
    """

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")
        self.patient: int | None = None
        with as_start_errors():
            self.connection, far_end = context.Pipe()
            with far_end:
                self._process = context.Process(target=_work, args=(far_end, plan), daemon=True)
                self._process.start()

    def end(self) -> None:
        """Ask the process to stop what it does and to clean up."""
        self.connection.close()
        if self._process.is_alive():
            self._process.terminate()

    def join(self) -> None:
        """Wait for the end of the process."""
        self._process.join(SECONDS_TO_END)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def cause_of_death(self, subject: str) -> AminetError:
        """Make the error for what the process was at; the subject is who died."""
        code = self._process.exitcode
        if code == -getattr(signal, "SIGKILL", 9):
            return BudgetExceeded(
                f"{subject} was killed, perhaps since memory ran out",
                case=CASE_WORKER_KILLED,
                hint="use fewer --jobs, or give the machine more memory",
            )
        return InternalError(
            f"{subject} ended with code {code}",
            case=CASE_WORKER_DIED,
            hint="run a patient alone with --debug and report it",
        )


def _work(connection: Connection, plan: Plan) -> None:
    """Be a worker: open a session and run what comes through the pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command hears it, and ends its workers
    skip_model_converter()
    # a pipe that ends means that the command is done, or gone
    with terminating_cleanly(), connection, suppress(EOFError, ConnectionError):
        session = _open_session(plan)
        if isinstance(session, AminetError):
            connection.send(session)
            return
        connection.send(None)
        with session:
            _run_all(session, connection, plan)


def _open_session(plan: Plan) -> AnySession | AminetError:
    try:
        with watchdog(plan.budget.deadline()):
            return open_session(plan.bundle, threads=plan.threads, engine=plan.engine)
    except AminetError as error:
        return _sendable(error)


def _run_all(session: AnySession, connection: Connection, plan: Plan) -> None:
    while True:
        patient: str = connection.recv()
        outcome = run_patient(session, patient, budget=plan.budget, place=plan.place)
        if isinstance(outcome.ending, AminetError):
            outcome = replace(outcome, ending=_sendable(outcome.ending))
        connection.send(outcome)


def _sendable(error: AminetError) -> AminetError:
    """Drop what led to the error: it may hold what cannot go through a pipe."""
    error.__cause__ = error.__context__ = None
    return error
