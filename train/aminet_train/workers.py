# SPDX-License-Identifier: Apache-2.0
"""A function over many items in several processes, none of which outlives its parent."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, parent_process
from typing import TypeVar

import torch

from aminet_train.process_pool import answers_of, process_pool

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
    with process_pool(min(jobs, len(items)), _start_worker) as pool:
        yield from answers_of(pool, function, items)


def _start_worker() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """Wait for the end of the parent, which may be killed without a word, and leave at once."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(EXIT_ORPHANED)
