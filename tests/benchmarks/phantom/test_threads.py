# SPDX-License-Identifier: Apache-2.0
from threadpoolctl import threadpool_info

from aminet_benchmarks.phantom.threads import single_threaded_workers


def blas_threads(_number):
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_workers_use_one_thread_each():
    with single_threaded_workers(2) as pool:
        counts = list(pool.map(blas_threads, range(2)))
    assert all(count and set(count) == {1} for count in counts)
