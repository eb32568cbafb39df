# SPDX-License-Identifier: Apache-2.0
"""What this process has used so far: time since its start, memory now and at its peak.

Each figure is None where the system has no way to tell that needs no further package.
"""

import os
import sys
import time
from pathlib import Path

from aminet_runtime import windows

KIB = 1024
_STATUS = Path("/proc/self/status")
_STAT = Path("/proc/self/stat")
_START_FIELD = 19  # field 22 of proc(5), counted behind the name in brackets, from 0


def started_at() -> float | None:
    """Return when the process started, on the clock of `time.perf_counter`.

    Linux tells it in ticks of 10 ms. It is the start of what ran before, where that became this
    program by exec.
    """
    try:
        behind_the_name = _STAT.read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        ticks = int(behind_the_name.split()[_START_FIELD])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.perf_counter() - age_s if age_s >= 0 else None


def rss_bytes() -> int | None:
    """Return the memory that the process holds now."""
    if sys.platform == "win32":
        return windows.working_set_bytes()
    return _status_bytes("VmRSS")


def peak_rss_bytes() -> int | None:
    """Return the most memory that the process has held.

    On Linux this is VmHWM: ru_maxrss is inherited from the parent over exec, so a small program
    that a large one started would report the large one's peak.
    """
    if sys.platform == "win32":
        return windows.peak_working_set_bytes()
    return _status_bytes("VmHWM") or _max_rss_by_rusage()


def _status_bytes(key: str) -> int | None:
    try:
        status = _STATUS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * KIB
    return None


def _max_rss_by_rusage() -> int | None:
    try:
        import resource  # noqa: PLC0415 - is not there on Windows
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else KIB  # macOS counts bytes, the others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
