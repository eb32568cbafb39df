# SPDX-License-Identifier: Apache-2.0
"""A function over many items in several processes, none of which outlives its parent."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

import torch

from aminet_runtime.errors import InternalError
from aminet_runtime.worker_start import as_start_errors

Item = TypeVar("Item")
Answer = TypeVar("Answer")

EXIT_ORPHANED = 1


def parallel_map(
    function: Callable[[Item], Answer], items: Sequence[Item], *, jobs: int
) -> Iterator[Answer]:
    """Yield the answers in the order of the items; one process is this one.

    Args:
        function: Of a module, so that other processes find it.
        items: Sent to the processes.
        jobs: Processes, each with one thread of torch.

    Raises:
        BudgetExceeded: The system starts no further process.
        InternalError: A process died, as when the system ran out of memory.
    """
    if jobs == 1 or len(items) < 2:
        yield from map(function, items)
        return
    with _pool(min(jobs, len(items))) as pool:
        try:
            with as_start_errors():  # the processes start as they are given something to do
                answers = pool.map(function, items)
            yield from answers
        except BrokenProcessPool as cause:
            raise InternalError(
                "a process died, perhaps for want of memory", hint="use fewer --jobs"
            ) from cause


def _pool(jobs: int) -> ProcessPoolExecutor:
    # forked processes would inherit torch's threads without their state
    with as_start_errors():
        return ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start_worker)


def _start_worker() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """Wait for the end of the parent, which may be killed without a word, and leave at once."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(EXIT_ORPHANED)
