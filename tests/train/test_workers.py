# SPDX-License-Identifier: Apache-2.0
import math
import os

import pytest

from aminet_runtime.errors import BudgetExceeded, InternalError
from aminet_train.workers import parallel_map


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_answers_come_in_the_order_of_the_items(jobs):
    assert list(parallel_map(math.sqrt, [4, 9, 16], jobs=jobs)) == [2, 3, 4]


@pytest.mark.slow
def test_a_process_that_died_is_an_error_with_a_hint():
    with pytest.raises(InternalError, match=r"a process died.*"):
        list(parallel_map(os._exit, [9, 9], jobs=2))


@pytest.mark.usefixtures("no_process_starts")
def test_a_process_that_cannot_start_is_an_error_with_a_hint():
    with pytest.raises(BudgetExceeded, match=r"no further process .*unavailable.*fewer --jobs"):
        list(parallel_map(math.sqrt, [4, 9], jobs=2))
