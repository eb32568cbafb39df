# SPDX-License-Identifier: Apache-2.0
"""The decision rule: `affected` is `probability >= threshold`, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aminet_runtime.decision import DecisionRule, find_regions, region_probabilities

SCORES = arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.floats(0.0, 1.0, width=32),
)


def rule(threshold, *, slices=1, regions=1):
    return DecisionRule(thresholds=(threshold,) * regions, min_consecutive_slices=slices)


def column(*values):
    return np.array(values, dtype=np.float32)[:, np.newaxis]  # (Z,) -> (Z, 1)


def test_probability_of_single_slices_is_the_maximum():
    assert region_probabilities(column(0.1, 0.9, 0.3), 1) == np.float32(0.9)


def test_a_lone_spike_does_not_count_where_two_in_a_row_are_asked_for():
    assert region_probabilities(column(0.1, 0.9, 0.1, 0.6, 0.7), 2) == np.float32(0.6)


def test_slices_of_two_runs_are_not_added_up():
    scores = column(0.9, 0.9, 0.0, 0.9, 0.9)

    (finding,) = find_regions(scores, rule(0.5, slices=3), names=["a"])

    assert finding.affected is False
    assert finding.slices == ()


def test_affected_region_names_only_the_slices_of_long_runs():
    scores = column(0.99, 0.0, 0.6, 0.8, 0.7, 0.0)

    (finding,) = find_regions(scores, rule(0.5, slices=2), names=["a"])

    assert finding.affected is True
    assert finding.slices == (2, 3, 4)
    assert finding.peak_slice == 3, "the lone spike of slice 0 is no part of the finding"


def test_unaffected_region_still_names_its_peak():
    (finding,) = find_regions(column(0.1, 0.3, 0.2), rule(0.5), names=["a"])

    assert (finding.affected, finding.peak_slice) == (False, 1)


def test_lowest_slice_wins_among_equal_peaks():
    (finding,) = find_regions(column(0.2, 0.9, 0.9), rule(0.5), names=["a"])

    assert finding.peak_slice == 1


def test_region_without_threshold_is_not_assessed():
    mixed = DecisionRule(thresholds=(0.5, None), min_consecutive_slices=1)

    findings = find_regions(np.ones((3, 2), np.float32), mixed, names=["a", "b"])

    assert findings[0].affected is True
    assert (findings[1].affected, findings[1].probability) == (None, None)


def test_scan_shorter_than_the_rule_is_judged_by_all_its_slices():
    assert region_probabilities(column(0.4, 0.6), 5) == np.float32(0.4)


def test_threshold_is_compared_in_double_precision():
    """0.1 as float32 is above 0.1: rounding the threshold to float32 would still flag 0.1 itself,
    but also flag a score below a threshold that float32 cannot hold."""
    score = np.float32(0.1)
    just_above = np.nextafter(float(score), 1.0)

    (finding,) = find_regions(column(score), rule(float(just_above)), names=["a"])

    assert np.float32(just_above) == score
    assert finding.affected is False


@given(SCORES, st.integers(1, 5), st.floats(0.01, 1.0))
def test_finding_follows_from_its_own_numbers(scores, in_a_row, threshold):
    regions = scores.shape[1]

    findings = find_regions(
        scores, rule(threshold, slices=in_a_row, regions=regions), names=["r"] * regions
    )

    reached = region_probabilities(scores, in_a_row)
    for finding in findings:
        assert finding.probability == float(reached[finding.index])
        assert finding.affected == (finding.probability >= threshold) == bool(finding.slices)
        assert all(float(scores[z, finding.index]) >= threshold for z in finding.slices)


@given(SCORES, st.integers(1, 5))
def test_probability_is_what_a_plain_loop_finds(scores, in_a_row):
    run = min(in_a_row, len(scores))
    windows = [scores[z : z + run].min(axis=0) for z in range(len(scores) - run + 1)]

    assert np.array_equal(region_probabilities(scores, in_a_row), np.max(windows, axis=0))


@given(SCORES, st.integers(1, 5))
def test_upside_down_scan_has_the_same_probabilities(scores, in_a_row):
    upside_down = region_probabilities(scores[::-1], in_a_row)

    assert np.array_equal(region_probabilities(scores, in_a_row), upside_down)


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.5, float("nan")])
def test_rejects_threshold_outside_of_0_to_1(threshold):
    with pytest.raises(ValueError, match="not in \\(0, 1\\]"):
        rule(threshold)


def test_rejects_rule_without_slices():
    with pytest.raises(ValueError, match="below 1"):
        rule(0.5, slices=0)


@pytest.mark.parametrize("shape", [(0, 15), (15,)])
def test_rejects_scores_without_slices(shape):
    with pytest.raises(ValueError, match="Z > 0"):
        region_probabilities(np.zeros(shape, np.float32), 1)
