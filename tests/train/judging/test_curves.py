# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aminet_train.judging.curves import (
    calibration_error,
    precision_recall_curve,
    reliability,
    sweep,
)
from aminet_train.metrics import average_precision, count

LEVELS = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
SCORED_PAIRS = st.integers(1, 30).flatmap(
    lambda n: st.tuples(hnp.arrays(np.float32, n, elements=LEVELS), hnp.arrays(np.bool_, n))
)


@given(SCORED_PAIRS)
def test_each_point_is_the_count_at_its_threshold(pairs):
    scores, truth = pairs
    curve = precision_recall_curve(scores, truth)
    if not truth.any():
        assert curve.recall.size == 0
        return
    thresholds = np.unique(scores)[::-1]
    counts = [count(scores >= threshold, truth) for threshold in thresholds]
    assert curve.precision.tolist() == pytest.approx([one.precision for one in counts])
    assert curve.recall.tolist() == pytest.approx([one.recall for one in counts])


@given(SCORED_PAIRS)
def test_area_of_the_steps_is_the_average_precision(pairs):
    scores, truth = pairs
    curve = precision_recall_curve(scores, truth)
    area = float((np.diff(curve.recall, prepend=0.0) * curve.precision).sum())
    assert area == pytest.approx(average_precision(scores, truth), abs=1e-5)  # torch: float32


def test_a_calibrated_score_has_no_error():
    scores = np.repeat(np.array([0.25, 0.75], np.float32), 4)
    truth = np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    bins = reliability(scores, truth, bins=2)
    assert [one.pairs for one in bins] == [4, 4]
    assert calibration_error(bins) == pytest.approx(0.0)
    assert calibration_error(reliability(scores, ~truth, bins=2)) == pytest.approx(0.5)


def test_a_score_of_one_is_in_the_last_bin():
    assert reliability(np.ones(3, np.float32), np.ones(3, bool))[-1].pairs == 3


def test_the_sweep_flags_above_the_threshold_as_the_report_did():
    scores = np.array([0.0, 0.5, 0.97], np.float32)
    by_threshold = dict(sweep(scores, np.array([True, True, True])))
    assert by_threshold[0.0].tp == 2
    assert by_threshold[0.5].tp == 1
    assert by_threshold[0.95].tp == 1
