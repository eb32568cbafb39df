# SPDX-License-Identifier: Apache-2.0
"""Processes that work on many items, and what can go wrong with them; needs no torch."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from aminet_runtime.errors import InternalError
from aminet_runtime.worker_start import as_start_errors

Answer = TypeVar("Answer")


def process_pool(jobs: int, start: Callable[[], None]) -> ProcessPoolExecutor:
    """Return a pool of processes that inherit nothing: threads would come without their state.

    Args:
        jobs: How many.
        start: Of a module; each process calls it first.

    Raises:
        BudgetExceeded: The system gives them no pipe or semaphore.
    """
    with as_start_errors():
        return ProcessPoolExecutor(jobs, get_context("spawn"), initializer=start)


def answers_of(
    pool: ProcessPoolExecutor, function: Callable[..., Answer], *arguments: Sequence[Any]
) -> Iterator[Answer]:
    """Yield the answers in the order of the items.

    Args:
        pool: Of `process_pool`.
        function: Of a module, so that other processes find it.
        arguments: For each of its parameters the values for all items.

    Raises:
        BudgetExceeded: The system starts no further process.
        InternalError: A process died, as when the system ran out of memory.
    """
    try:
        with as_start_errors():  # the processes start as they are given something to do
            answers = pool.map(function, *arguments)
        yield from answers
    except BrokenProcessPool as cause:
        raise InternalError(
            "a process died, perhaps for want of memory", hint="use fewer --jobs"
        ) from cause
