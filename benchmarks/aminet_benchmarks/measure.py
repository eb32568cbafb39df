# SPDX-License-Identifier: Apache-2.0
"""Time and peak memory of whole commands, in turn: A B C A B C, so that a noisy machine is fair."""

import os
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psutil

from aminet_runtime.errors import GateFailed

POLL_SECONDS = 0.005
POLLS_A_TREE = 10
"""Children are looked for more rarely, since that walks through all processes of the machine."""

SLOW_FACTOR = 3.0
SLOW_RUNS = 2
"""A command that takes three times as long as the first is run twice, and both are counted."""

LONGEST_RUN_S = 1800.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one command.

    Attributes:
        wall_s: From start to exit.
        peak_rss_mib: Most memory of the process with its children.
        output: What it printed.
        cpu_s: Processor time, of the children too.
        kernel_rss_mib: High-water mark of the process alone, as the kernel counts it (VmHWM).
        tree_rss_mib: Largest sum over the process and its children, by psutil.
        queued_s: How long its first thread was ready and waited for a processor that others had.
    """

    wall_s: float
    peak_rss_mib: float
    output: str
    cpu_s: float
    kernel_rss_mib: float
    tree_rss_mib: float = 0.0
    queued_s: float = 0.0

    @property
    def undisturbed_s(self) -> float:
        """Wall time without the queue: sleeping and computing count, others' work does not."""
        return self.wall_s - self.queued_s


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
    def undisturbed_s(self) -> float:
        """Median wall time without the queue for a processor."""
        return statistics.median(run.undisturbed_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        """Median processor time."""
        return statistics.median(run.cpu_s for run in self.runs)

    @property
    def peak_rss_mib(self) -> float:
        """Median peak memory."""
        return statistics.median(run.peak_rss_mib for run in self.runs)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values with every single run."""
        return {
            "wall_s": self.wall_s,
            "undisturbed_s": self.undisturbed_s,
            "cpu_s": self.cpu_s,
            "peak_rss_mib": self.peak_rss_mib,
            "kernel_rss_mib": statistics.median(run.kernel_rss_mib for run in self.runs),
            "tree_rss_mib": statistics.median(run.tree_rss_mib for run in self.runs),
            "runs": [[run.wall_s, run.peak_rss_mib] for run in self.runs],
        }


def run_interleaved(
    commands: Mapping[str, Sequence[str]],
    *,
    rounds: int,
    cores: Sequence[int],
    environment: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Runs]:
    """Run every command once per round, in turn, after one round that is not counted.

    What takes far longer than the first command is run twice and no more, the round that is not
    counted being one of the two: its ratio to the first is large, need not be known to the percent,
    and hardly depends on what is cached.

    Args:
        commands: Name to argument list.
        rounds: Counted rounds.
        cores: Processors that the commands may use.
        environment: Variables on top of those of this process.
        on_progress: Called with runs done and runs in all.

    Raises:
        GateFailed: A command ended with an error.
    """
    turns = list(commands)
    total, done = (rounds + 1) * len(turns), 0
    slow: set[str] = set()
    runs: dict[str, list[Run]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name in turns:
            runs[name].append(run_once(commands[name], cores=cores, environment=environment))
            done += 1
            on_progress(done, total)
        if number + 1 == SLOW_RUNS:
            slow = {name for name in turns if _is_slow(runs[name], runs[turns[0]])}
            total -= len(slow) * (rounds - number)
            turns = [name for name in turns if name not in slow]
    return [Runs(name, tuple(found if name in slow else found[1:])) for name, found in runs.items()]


def _is_slow(runs: Sequence[Run], first: Sequence[Run]) -> bool:
    return min(run.wall_s for run in runs) > SLOW_FACTOR * min(run.wall_s for run in first)


def run_once(
    command: Sequence[str], *, cores: Sequence[int], environment: Mapping[str, str] | None = None
) -> Run:
    """Run a command on some cores and measure it from outside.

    Raises:
        GateFailed: It ended with an error, or does not end.
    """
    with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        cpu_before_s = _children_cpu_s()
        started = time.perf_counter()
        process = _start(command, output, errors, cores=cores, environment=environment)
        watch = _PeakMemory(process.pid)
        with _killed_after(LONGEST_RUN_S, process):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays, to be asked
        wall_s = time.perf_counter() - started
        queued_s = _queued_s(process.pid)
        process.wait()
        watch.join()
        _require_success(process, wall_s, command, _content(errors))
        return Run(
            wall_s,
            max(watch.tree_bytes, watch.kernel_bytes) / MIB,
            _content(output),
            cpu_s=_children_cpu_s() - cpu_before_s,
            kernel_rss_mib=watch.kernel_bytes / MIB,
            tree_rss_mib=watch.tree_bytes / MIB,
            queued_s=queued_s,
        )


def _start(
    command: Sequence[str],
    output: IO[str],
    errors: IO[str],
    *,
    cores: Sequence[int],
    environment: Mapping[str, str] | None,
) -> "subprocess.Popen[str]":
    """Start a command that writes into files: a full pipe would make it wait for us."""
    previous = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # the child inherits it
    try:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=errors,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    finally:
        os.sched_setaffinity(0, previous)


@contextmanager
def _killed_after(seconds: float, process: "subprocess.Popen[str]") -> Iterator[None]:
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    except BaseException:
        process.kill()  # nobody would wait for it
        raise
    finally:
        timer.cancel()


def _require_success(
    process: "subprocess.Popen[str]", wall_s: float, command: Sequence[str], errors: str
) -> None:
    if wall_s >= LONGEST_RUN_S:
        raise GateFailed(f"a command did not end within {LONGEST_RUN_S:g} s")
    if process.returncode:
        raise GateFailed(
            f"{' '.join(map(_short, command[:3]))} ended with code {process.returncode}: "
            f"{errors.strip()[-300:]}"
        )


def _content(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _short(word: str) -> str:
    return Path(word).name


def _children_cpu_s() -> float:
    """Return the processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _queued_s(pid: int) -> float:
    """Return how long the first thread of a process has stood in the queue for a processor.

    0 where the kernel does not tell.
    Source: docs.kernel.org/scheduler/sched-stats.html, /proc/<pid>/schedstat, second figure, in ns.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class _PeakMemory:
    """Follows a process and its children until it is gone.

    Attributes:
        kernel_bytes: The kernel's own high-water mark of the process, which only rises.
        tree_bytes: The largest sum over the process and its children, by psutil.
    """

    def __init__(self, pid: int) -> None:
        self.kernel_bytes = self.tree_bytes = 0
        self._process = psutil.Process(pid)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of the process."""
        self._thread.join()

    def _follow(self) -> None:
        gone = (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, ProcessLookupError)
        with suppress(*gone):
            for poll in range(int(LONGEST_RUN_S / POLL_SECONDS)):
                self.kernel_bytes = max(self.kernel_bytes, _high_water_bytes(self._process))
                if poll % POLLS_A_TREE == 0:
                    self.tree_bytes = max(self.tree_bytes, _tree_bytes(self._process))
                time.sleep(POLL_SECONDS)


def _tree_bytes(process: psutil.Process) -> int:
    total = int(process.memory_info().rss)
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += int(child.memory_info().rss)
    return total


def _high_water_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return int(process.memory_info().rss)
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise psutil.NoSuchProcess(process.pid)
