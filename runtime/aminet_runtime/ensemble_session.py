# SPDX-License-Identifier: Apache-2.0
"""An ensemble at work: each member reads the scan and decides, then they vote.

The members take turns, each with a pass of its own over the files, so no more than one scan is in
memory. That all passes saw the same bytes is checked by their hashes.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from aminet_runtime.budget import Budget
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.ensemble_bundle import EnsembleBundle
from aminet_runtime.errors import BudgetExceeded, InputDamaged
from aminet_runtime.metadata import Precision
from aminet_runtime.patient import PatientFolder, check_same_grid
from aminet_runtime.result import ModelReference, PatientResult, ResultWarning, utc_now
from aminet_runtime.session import Session, SliceObserver
from aminet_runtime.stopwatch import Timings
from aminet_runtime.supervisor import OnProgress
from aminet_runtime.volume import Volume
from aminet_runtime.vote import slice_votes, vote

SHORTEST_S = 0.001

CASE_CHANGED = 10


class EnsembleSession:
    """An opened ensemble; use `EnsembleSession.open` in a `with` block.

    Attributes:
        bundle: What runs.
        threads: Threads of one inference.
        members: A session for each voter.
    """

    def __init__(self, bundle: EnsembleBundle, members: Sequence[Session]) -> None:
        """Take over the members' sessions; use `EnsembleSession.open`."""
        self.bundle = bundle
        self.members = tuple(members)
        self.threads = self.members[0].threads

    @classmethod
    def open(
        cls,
        bundle: str | Path | EnsembleBundle,
        *,
        threads: int | None = None,
        engine: EngineName = EngineName.OPENVINO,
        started: float | None = None,
    ) -> Self:
        """Verify an ensemble and read the networks of all members.

        Args:
            bundle: An ensemble or its folder.
            threads: Threads of one inference; what the process may use if None.
            engine: What runs the networks.
            started: When the work began, by `time.perf_counter`, for the timings; now if None.

        Raises:
            ModelError: A member cannot be opened, or the ensemble itself is not right.
            UsageError: `threads` is not within 1 to 1024.
        """
        begin = time.perf_counter() if started is None else started
        opened = bundle if isinstance(bundle, EnsembleBundle) else EnsembleBundle.open(bundle)
        with ExitStack() as stack:
            members = []
            for member in opened.members:
                session = Session.open(member, threads=threads, engine=engine, started=begin)
                members.append(stack.enter_context(session))
                begin = time.perf_counter()
            stack.pop_all()
        return cls(opened, members)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the networks' memory back; the session cannot be used any more."""
        for member in self.members:
            member.close()

    def model_reference(self) -> ModelReference:
        """Return what results say about the model that answered."""
        metadata = self.bundle.metadata
        precisions = {member.model_reference().precision for member in self.members}
        return ModelReference(
            id=metadata.model_id,
            approach=metadata.approach.value,
            precision=precisions.pop() if len(precisions) == 1 else Precision.MIXED.value,
            bundle=metadata.name,
            engine=self.members[0].engine_version,
        )

    def run(
        self,
        patient: str | Path | PatientFolder,
        *,
        budget: Budget | None = None,
        on_progress: OnProgress | None = None,
        observer: SliceObserver | None = None,
    ) -> PatientResult:
        """Find the affected regions of one patient, by a majority of the members.

        Args:
            patient: The patient's folder; it is only read.
            budget: Limits of time, for all members together, and of memory.
            on_progress: Called after each slice with how many are done and how many there are.
            observer: Sees what the first member sees.

        Raises:
            InputError: A file is missing, damaged, not supported, or shows no head.
            ModelError: A member cannot take these slices, or this machine cannot run it.
            BudgetExceeded: Time or memory do not suffice.
        """
        limits = budget or Budget()
        opening_s = sum(member.opening_s for member in self.members)
        deadline = limits.deadline(started=time.perf_counter() - opening_s)
        folder = patient if isinstance(patient, PatientFolder) else PatientFolder.open(patient)
        self._require_one_grid(folder)
        results: list[PatientResult] = []
        for number, member in enumerate(self.members):
            left_s = deadline.remaining_s + member.opening_s  # which the member counts, too
            left = replace(limits, time_limit_s=max(left_s, SHORTEST_S))
            progress = _shifted(on_progress, number, len(self.members))
            sees = observer if number == 0 else None
            try:
                result = member.run(folder, budget=left, on_progress=progress, observer=sees)
            except BudgetExceeded as error:
                if deadline.remaining_s < 0:  # name the limit of all, not what was left of it
                    raise deadline.exceeded() from error
                raise
            results.append(result)
        return self._combined(results, folder)

    def _require_one_grid(self, folder: PatientFolder) -> None:
        """Compare the headers of all members' channels: a slice is the same slice for each."""
        with ExitStack() as opened:
            volumes = [
                opened.enter_context(Volume.open(folder.path_of(channel)))
                for channel in self.bundle.metadata.input.channels
            ]
            check_same_grid(volumes)

    def _combined(self, results: Sequence[PatientResult], folder: PatientFolder) -> PatientResult:
        scores = [result.scores for result in results]
        rules = [member.bundle.metadata.decision for member in self.members]
        votes = slice_votes(scores, rules)
        warnings = dict.fromkeys(one for result in results for one in result.warnings)
        return replace(
            results[-1],
            created=utc_now(),
            model=self.model_reference(),
            regions=vote([result.regions for result in results], scores, votes),
            min_consecutive_slices=self.bundle.metadata.decision.min_consecutive_slices,
            scores=votes,
            input=replace(results[0].input, files=_same_files(results, folder)),
            warnings=_shortened(warnings),
            timings_ms=_added([result.timings_ms for result in results]),
            disclaimer=self.bundle.metadata.disclaimer,
        )


def _shifted(on_progress: OnProgress | None, number: int, members: int) -> OnProgress | None:
    """Let the progress of one member be a part of that of all."""
    if on_progress is None:
        return None

    def report(done: int, total: int) -> None:
        on_progress(number * total + done, members * total)

    return report


def _same_files(results: Sequence[PatientResult], folder: PatientFolder) -> dict[str, str]:
    """Put the files of all members together, if all have read the same bytes."""
    files: dict[str, str] = {}
    for name, sha256 in (pair for result in results for pair in result.input.files.items()):
        if files.setdefault(name, sha256) != sha256:
            raise InputDamaged(
                f"{name} was changed while it was read",
                case=CASE_CHANGED,
                path=folder.path,
                hint="run again once the folder is complete",
            )
    return files


def _shortened(warnings: dict[ResultWarning, None]) -> tuple[ResultWarning, ...]:
    return tuple(sorted(warnings, key=lambda warning: (warning.code, warning.message)))


def _added(timings: Sequence[Timings]) -> Timings:
    return Timings(
        start=sum(one.start for one in timings),
        compile=sum(one.compile for one in timings),
        stream=sum(one.stream for one in timings),
        total=sum(one.total for one in timings),
    )
