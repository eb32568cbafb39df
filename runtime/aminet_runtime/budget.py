# SPDX-License-Identifier: Apache-2.0
"""Time and memory: what a run may use, what it will need, and what there is.

Memory is estimated and compared before anything large is allocated, since a machine that runs out
of it does not fail but stands still. Time is checked between slices; `watchdog` interrupts what
hangs within one, such as a read from a network drive that has gone, and does so a little later, so
that what only took too long ends by itself and closes what it has opened.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from aminet_runtime import windows
from aminet_runtime.cgroup import memory_headroom_bytes
from aminet_runtime.errors import BudgetExceeded
from aminet_runtime.process import KIB, rss_bytes

MIB = 1024 * 1024
GIB = 1024 * MIB
DEFAULT_TIME_LIMIT_S = 300.0  # the client's limit for one patient
DEFAULT_MEMORY_LIMIT_BYTES = 8 * GIB  # the client's limit for the whole process

ALARM_DELAY_S = 0.2
"""From the deadline to the alarm. One that strikes while a file is being opened leaves it to no
one; opening takes microseconds, so whoever began in time keeps its files by then."""

LONGEST_ALARM_S = 1e9
"""Thirty years; the system's timers take no more than some hundred."""

CASE_TIME = 1
CASE_MEMORY_LIMIT = 2
CASE_MEMORY_FREE = 3

_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one patient may use.

    Attributes:
        time_limit_s: Wall time from the start of the patient to the result.
        memory_limit_bytes: Memory that the process may hold.
    """

    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        if not self.time_limit_s > 0 or self.memory_limit_bytes <= 0:
            raise ValueError(f"{self}: both limits must be above 0")

    def deadline(self, *, started: float | None = None) -> "Deadline":
        """Start the clock.

        Args:
            started: When the work began, by `time.perf_counter`; now if None.
        """
        begin = time.perf_counter() if started is None else started
        return Deadline(limit_s=self.time_limit_s, ends_at=begin + self.time_limit_s)

    def require_memory(self, needed_bytes: int) -> None:
        """Refuse work that would not fit, before it allocates.

        Args:
            needed_bytes: What the work will take on top of what the process holds.

        Raises:
            BudgetExceeded: It is more than the limit allows or than the machine has free.
        """
        total = (rss_bytes() or 0) + needed_bytes
        if total > self.memory_limit_bytes:
            raise BudgetExceeded(
                f"about {_mib(total)} MiB are needed, the memory limit is "
                f"{_mib(self.memory_limit_bytes)} MiB",
                case=CASE_MEMORY_LIMIT,
                hint="raise --memory-limit",
            )
        free = available_memory_bytes()
        if free is not None and needed_bytes > free:
            raise BudgetExceeded(
                f"about {_mib(needed_bytes)} MiB are needed, {_mib(free)} MiB are free",
                case=CASE_MEMORY_FREE,
                hint="close other programs, or give the container more memory",
            )

    def check_memory(self) -> None:
        """Stop work that took more than was estimated.

        Raises:
            BudgetExceeded: The process holds more than the limit.
        """
        held = rss_bytes()
        if held is not None and held > self.memory_limit_bytes:
            raise BudgetExceeded(
                f"{_mib(held)} MiB are in use, the memory limit is "
                f"{_mib(self.memory_limit_bytes)} MiB",
                case=CASE_MEMORY_LIMIT,
                hint="raise --memory-limit",
            )


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment at which a patient must be done.

    Attributes:
        limit_s: The limit, for the message.
        ends_at: By `time.perf_counter`.
    """

    limit_s: float
    ends_at: float

    @property
    def remaining_s(self) -> float:
        """Seconds that are left; negative once it has passed."""
        return self.ends_at - time.perf_counter()

    def check(self) -> None:
        """Raise BudgetExceeded once the moment has passed."""
        if self.remaining_s < 0:
            raise self.exceeded()

    def exceeded(self) -> BudgetExceeded:
        """Make the error for work that is not done by then."""
        return BudgetExceeded(
            f"not done within the time limit of {self.limit_s:g} s",
            case=CASE_TIME,
            hint="raise --time-limit, or run --doctor to see what is slow",
        )


class _AlarmError(BaseException):
    """Unwinds from wherever the alarm rings.

    No `except OSError` on the way takes it for its own, as it would BudgetExceeded, which is one.
    """


@contextmanager
def watchdog(deadline: Deadline) -> Iterator[None]:
    """Hold a block to its deadline, and interrupt it soon after that, should it hang in a read.

    It uses the process's alarm signal, so it is for commands, not for a library inside a host.
    Where there are no alarms (Windows) or outside of the main thread nothing is interrupted.

    Raises:
        BudgetExceeded: The time was up before the block, or the block was not done by then.
    """
    deadline.check()
    with _alarm(deadline):
        yield
    deadline.check()


@contextmanager
def _alarm(deadline: Deadline) -> Iterator[None]:
    """Let an alarm end the block, `ALARM_DELAY_S` after the deadline."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        left_s = min(max(deadline.remaining_s, 0.0), LONGEST_ALARM_S)
        signal.setitimer(signal.ITIMER_REAL, left_s + ALARM_DELAY_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _AlarmError:
        raise deadline.exceeded() from None
    finally:
        signal.signal(signal.SIGALRM, before)


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise _AlarmError


def available_memory_bytes() -> int | None:
    """Return what can be allocated without swapping, by machine and container; None if unknown."""
    figures = [_available_on_machine(), memory_headroom_bytes()]
    return min((figure for figure in figures if figure is not None), default=None)


def _available_on_machine() -> int | None:
    if sys.platform == "win32":
        return windows.available_physical_bytes()
    try:
        lines = _MEMINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * KIB
    return None


def _mib(count: int) -> int:
    return -(-count // MIB)
