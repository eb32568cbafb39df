# SPDX-License-Identifier: Apache-2.0
import math
import os

import pytest
from threadpoolctl import threadpool_info

from aminet_benchmarks.phantom.threads import map_single_threaded, single_threaded_workers
from aminet_runtime.errors import BudgetExceeded, InternalError


def blas_threads(_number):
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_workers_use_one_thread_each():
    with single_threaded_workers(2) as pool:
        counts = list(pool.map(blas_threads, range(2)))
    assert all(count and set(count) == {1} for count in counts)


def test_a_worker_that_is_killed_ends_in_one_line():
    with pytest.raises(InternalError, match=r"a process died.*use fewer --jobs"):
        list(map_single_threaded(os._exit, [9, 9], jobs=2))


@pytest.mark.usefixtures("no_process_starts")
def test_a_worker_that_cannot_start_ends_in_one_line():
    with pytest.raises(BudgetExceeded, match=r"no further process .*unavailable.*fewer --jobs"):
        list(map_single_threaded(math.sqrt, [4, 9], jobs=2))
