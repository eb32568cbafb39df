# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aminet_train.metrics import Counts, average_precision, count, f1_interval

PAIRS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(hnp.arrays(np.bool_, (n, 15)), hnp.arrays(np.bool_, (n, 15)))
)


@given(PAIRS)
def test_counts_equal_a_loop_over_all_pairs(pairs):
    flagged, truth = pairs
    names = {(True, True): "tp", (True, False): "fp", (False, True): "fn", (False, False): "tn"}
    tally = dict.fromkeys(names.values(), 0)
    for pair in zip(flagged.ravel().tolist(), truth.ravel().tolist(), strict=True):
        tally[names[pair]] += 1
    assert count(flagged, truth) == Counts(**tally)


def test_shares_of_the_reports_spiral_row():
    # REPORT: precision .3344, recall .3596 give F1 .3465
    counts = Counts(tp=3344 * 899, fp=6656 * 899, fn=3344 * 1601, tn=0)
    assert counts.precision == pytest.approx(0.3344)
    assert counts.recall == pytest.approx(0.3596, abs=1e-4)
    assert counts.f1 == pytest.approx(0.3465, abs=1e-4)


def test_nothing_of_nothing_is_zero():
    empty = Counts(tp=0, fp=0, fn=0, tn=5)
    assert (empty.precision, empty.recall, empty.f1, empty.accuracy) == (0.0, 0.0, 0.0, 1.0)


def test_average_precision_of_a_known_ranking():
    scores = np.array([[0.9, 0.8, 0.7, 0.6]], np.float32)
    truth = np.array([[True, False, True, False]])
    assert average_precision(scores, truth) == pytest.approx((1 + 2 / 3) / 2)


def test_average_precision_without_a_true_pair_is_zero():
    assert average_precision(np.ones((2, 2), np.float32), np.zeros((2, 2), bool)) == 0.0


def test_interval_holds_the_point_and_shrinks_with_patients():
    generator = np.random.default_rng(0)
    few = [Counts(int(generator.integers(0, 4)), 1, 1, 10) for _ in range(10)]
    low, high = f1_interval(few)
    many_low, many_high = f1_interval(few * 20)
    total = Counts(sum(c.tp for c in few), 10, 10, 100)
    assert low < total.f1 < high
    assert many_high - many_low < high - low
