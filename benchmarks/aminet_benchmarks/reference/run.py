# SPDX-License-Identifier: Apache-2.0
"""Run the stages of a study: skip what has ended, go on where one was stopped, end at a failure."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from aminet_benchmarks.reference.stage import Again, Record, Stage, read_record, write_record
from aminet_runtime.errors import GateFailed, OutputExists

OnStage = Callable[[int, int, Stage, Record | None], None]

RUN_SETTINGS = "config.toml"
"""A run of `aminet-train` goes on once this is there; its own module would load torch."""

PATIENCE_S = 10.0
"""How long a command that is told to end may take until it is killed."""


def run_stages(root: Path, stages: Sequence[Stage], *, on_stage: OnStage) -> None:
    """Run those stages that have not ended yet, one after the other.

    Args:
        root: Folder of the study.
        stages: In their order.
        on_stage: Called with number, count and stage, before a stage without a record and behind
            it with one.

    Raises:
        GateFailed: A command ended with an error; later stages were not started.
        OutputExists: A stage has ended, but with another command, or would have to remove what it
            did not begin.
    """
    root.mkdir(parents=True, exist_ok=True)
    for number, stage in enumerate(stages, start=1):
        if not has_ended(root, stage):
            on_stage(number, len(stages), stage, None)
            run_stage(root, stage)
        on_stage(number, len(stages), stage, read_record(root, stage))


def has_ended(root: Path, stage: Stage) -> bool:
    """Tell whether a stage has ended well and what it wrote is still there.

    Raises:
        OutputExists: It has, but with another command.
    """
    record = read_record(root, stage)
    if record is None or record.ended is None or not (root / stage.output).exists():
        return False
    if not record.is_of(stage):
        raise OutputExists(
            f"stage {stage.name} has ended with other options",
            path=root / stage.record,
            hint="give the same options, choose another folder, or remove this record and "
            f"{stage.output} to repeat it",
        )
    return True


def run_stage(root: Path, stage: Stage) -> None:
    """Run the command of a stage, or what goes on with it, and write its record.

    Raises:
        GateFailed: The command ended with an error.
        OutputExists: There is something in its place that no attempt with this command began.
    """
    stopped = _stopped_before(root, stage)
    words = _words(root, stage, goes_on=stopped.attempts > 0)
    log = root / stage.log
    log.parent.mkdir(parents=True, exist_ok=True)
    record = replace(stopped, attempts=stopped.attempts + 1)
    write_record(root, stage, record)  # a kill leaves it behind, and tells what was begun
    started, cpu_before_s, code = time.monotonic(), _children_cpu_s(), None
    try:
        code = _run(words, root, log)
    finally:
        record = replace(
            record,
            wall_s=record.wall_s + time.monotonic() - started,
            cpu_s=record.cpu_s + _children_cpu_s() - cpu_before_s,
            ended=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if code == 0 else None,
        )
        write_record(root, stage, record)
    if code != 0:
        raise GateFailed(
            f"stage {stage.name} ended with code {code}: {_last_line(log)}",
            path=log,
            hint="mend it and give the command again: stages that have ended are skipped",
        )


def _stopped_before(root: Path, stage: Stage) -> Record:
    """Return what is known of earlier attempts with this command that were stopped."""
    record = read_record(root, stage)
    if record is None or not record.is_of(stage) or record.ended is not None:
        return Record(stage.command, 0.0, 0.0, 0, None)
    return replace(record, command=stage.command)


def _words(root: Path, stage: Stage, *, goes_on: bool) -> list[str]:
    """Return the command that begins a stage or goes on with it."""
    output = root / stage.output
    if stage.again is Again.RESUME and goes_on and (output / RUN_SETTINGS).exists():
        return [stage.command[0], "--resume", str(stage.output)]
    if stage.again is not Again.SAME:
        if not goes_on:
            _require_free(output, stage)
        shutil.rmtree(output, ignore_errors=True)
    return list(stage.command)


def _require_free(output: Path, stage: Stage) -> None:
    """Refuse to remove what somebody typed, or what was begun with other options."""
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise OutputExists(
            f"stage {stage.name} did not begin what is here, and would have to remove it",
            path=output,
            hint="give the options that it was begun with, move it away, or choose another folder",
        )


def _run(words: Sequence[str], root: Path, log: Path) -> int:
    """Run one of our commands in the study's folder, and return its exit code."""
    with log.open("ab") as said:
        said.write(f"$ {' '.join(words)}\n".encode())
        said.flush()
        process = subprocess.Popen(
            [_program(words[0]), *words[1:]],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its own processes can be ended with it
        )
        try:
            return process.wait()
        except BaseException:
            _end(process)
            raise


def _program(name: str) -> str:
    """Return the path of one of our commands."""
    return str(Path(sys.executable).with_name(name))


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what is left of its processes
    process.wait()


def _children_cpu_s() -> float:
    """Return the processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
