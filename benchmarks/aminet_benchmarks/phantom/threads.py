# SPDX-License-Identifier: Apache-2.0
"""One thread a process: phantoms are made in many small matrix products."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from aminet_train.process_pool import answers_of, process_pool

_Made = TypeVar("_Made")


def use_one_thread() -> None:
    """Let the linear algebra of this process use one thread from now on.

    Its threads wait for each other busily: beside other work on the machine two threads took six
    times as long for a patient as one.
    """
    threadpool_limits(limits=1, user_api="blas")


@contextmanager
def single_threaded_workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield processes of one thread each; what waits is dropped if the caller fails.

    Args:
        jobs: How many.

    Raises:
        BudgetExceeded: The system gives them no pipe or semaphore.
    """
    with process_pool(jobs, use_one_thread) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def map_single_threaded(
    make: Callable[..., _Made], *arguments: Sequence[Any], jobs: int
) -> Iterator[_Made]:
    """Make one patient after the other, here or in processes, with one thread each.

    Args:
        make: Makes one.
        arguments: For each of its parameters the values for all patients.
        jobs: Processes; with one, all is made in this process.

    Raises:
        BudgetExceeded: The system starts no further process.
        InternalError: A process died, as when the system ran out of memory.
    """
    if jobs == 1 or len(arguments[0]) < 2:
        with threadpool_limits(limits=1, user_api="blas"):
            yield from map(make, *arguments)
        return
    with single_threaded_workers(jobs) as pool:
        yield from answers_of(pool, make, *arguments)
