# SPDX-License-Identifier: Apache-2.0
"""Time and peak memory of whole commands, in turn: A B C A B C, so that a noisy machine is fair."""

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from aminet_runtime.errors import GateFailed

POLL_SECONDS = 0.005
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one command.

    Attributes:
        wall_s: From start to exit.
        peak_rss_mib: High-water mark of the process, as the kernel counts it.
        output: What it printed.
    """

    wall_s: float
    peak_rss_mib: float
    output: str


@dataclass(frozen=True, slots=True)
class Runs:
    """All runs of one command."""

    name: str
    runs: tuple[Run, ...]

    @property
    def wall_s(self) -> float:
        """Median wall time."""
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def peak_rss_mib(self) -> float:
        """Median peak memory."""
        return statistics.median(run.peak_rss_mib for run in self.runs)


def run_interleaved(
    commands: Mapping[str, Sequence[str]],
    *,
    rounds: int,
    cores: Sequence[int],
    environment: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Runs]:
    """Run every command once per round, in turn, after one round that is not counted.

    Args:
        commands: Name to argument list.
        rounds: Counted rounds.
        cores: Processors that the commands may use.
        environment: Variables on top of those of this process.
        on_progress: Called with runs done and runs in all.

    Raises:
        GateFailed: A command ended with an error.
    """
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    total = (rounds + 1) * len(commands)
    for number in range(total):
        name = list(commands)[number % len(commands)]
        run = run_once(commands[name], cores=cores, environment=environment)
        if number >= len(commands):
            runs[name].append(run)
        on_progress(number + 1, total)
    return [Runs(name, tuple(found)) for name, found in runs.items()]


def run_once(
    command: Sequence[str], *, cores: Sequence[int], environment: Mapping[str, str] | None = None
) -> Run:
    """Run a command on some cores and measure it from outside.

    Raises:
        GateFailed: It ended with an error.
    """
    previous = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # the child inherits it
    try:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    finally:
        os.sched_setaffinity(0, previous)
    watch = _PeakMemory(process.pid)
    output, errors = process.communicate()
    wall_s = time.perf_counter() - started
    if process.returncode:
        raise GateFailed(
            f"{Path(command[0]).name} ended with code {process.returncode}: {errors.strip()[-300:]}"
        )
    return Run(wall_s, watch.stop() / MIB, output)


class _PeakMemory:
    """Follows the kernel's own high-water mark, which only rises, until the process is gone."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peak_bytes = 0
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Return the peak in bytes."""
        self._thread.join()
        return self._peak_bytes

    def _follow(self) -> None:
        while True:
            try:
                self._peak_bytes = max(self._peak_bytes, _high_water_bytes(self._process))
            except (
                psutil.NoSuchProcess,
                psutil.AccessDenied,
                FileNotFoundError,
                ProcessLookupError,
            ):
                return
            time.sleep(POLL_SECONDS)


def _high_water_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return int(process.memory_info().rss)
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise psutil.NoSuchProcess(process.pid)
