# SPDX-License-Identifier: Apache-2.0
"""How many threads are worth starting.

OpenVINO counts the machine's cores. A process that is bound to fewer of them, or throttled by its
container, gets slower with each thread above what it may use.
"""

import os

from aminet_runtime.cgroup import cpu_quota
from aminet_runtime.errors import UsageError

MAX_THREADS = 1024
"""More than any machine of ours has cores; OpenVINO fails in ways of its own at absurd numbers."""


CASE_THREADS = 3


def chosen_threads(wanted: int | None) -> int:
    """Return how many threads were asked for, or else as many as the process may use.

    Raises:
        UsageError: `wanted` is not within 1 to 1024.
    """
    if wanted is None:
        return available_threads()
    if not 1 <= wanted <= MAX_THREADS:
        raise UsageError(
            f"{wanted} threads cannot run anything",
            case=CASE_THREADS,
            hint=f"use 1 to {MAX_THREADS}",
        )
    return wanted


def available_threads() -> int:
    """Return the number of cores that this process may keep busy, from 1 to `MAX_THREADS`."""
    cores = min(_usable_cores(), MAX_THREADS)
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def _usable_cores() -> int:
    """Count the cores that the process is bound to, where the system can bind it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
