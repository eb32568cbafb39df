# SPDX-License-Identifier: Apache-2.0
"""One thread a process: phantoms are made in many small matrix products."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from threadpoolctl import threadpool_limits


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
    """
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=use_one_thread)
    with pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
