# SPDX-License-Identifier: Apache-2.0
"""How many threads are worth starting.

OpenVINO counts the machine's cores. A process that is bound to fewer of them, or throttled by its
container, gets slower with each thread above what it may use.
"""

import os

from aminet_runtime.cgroup import cpu_quota

MAX_THREADS = 1024
"""More than any machine of ours has cores; OpenVINO fails in ways of its own at absurd numbers."""


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
