# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aminet_train.metrics import count
from aminet_train.thresholds import best_threshold, choose_rule, drawn_thresholds, region_thresholds

LEVELS = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
SCORED_PAIRS = st.integers(1, 30).flatmap(
    lambda n: st.tuples(hnp.arrays(np.float32, n, elements=LEVELS), hnp.arrays(np.bool_, n))
)


@given(SCORED_PAIRS)
def test_no_threshold_beats_the_chosen_one(pairs):
    scores, truth = pairs
    threshold, f1 = best_threshold(scores, truth)
    assert count(scores >= threshold, truth).f1 == pytest.approx(f1)
    candidates = [-0.1, *np.unique(scores), 1.1]
    assert f1 >= max(count(scores >= c, truth).f1 for c in candidates) - 1e-9


def test_threshold_lies_between_two_scores():
    threshold, f1 = best_threshold(np.array([0.2, 0.8], np.float32), np.array([False, True]))
    assert threshold == pytest.approx(0.5)
    assert f1 == 1.0


def test_rule_asks_for_slices_in_a_row_where_single_slices_are_noise():
    labels = np.zeros((30, 15), np.uint8)
    labels[10:16, 3] = 1
    scores = np.full((30, 15), 0.1, np.float32)
    scores[10:16, 3] = 0.8
    scores[::7, 5] = 0.9  # isolated false alarms, higher than the truth
    rule = choose_rule([scores], [labels])
    assert rule.min_consecutive_slices > 1
    assert all(0.1 < threshold < 0.8 for threshold in rule.patient_thresholds)


def test_a_region_of_false_alarms_gets_a_higher_threshold_and_the_others_keep_theirs():
    generator = np.random.default_rng(0)
    affected = generator.random((40, 15)) < 0.2
    reached = np.where(affected, 0.8, 0.2).astype(np.float32)
    reached[~affected[:, 3], 3] = 0.7  # region 3 always looks like a clot, a little less so
    thresholds = region_thresholds(reached, affected, 0.5)
    assert thresholds[3] > 0.6
    # the middle of 0.2 and 0.8 in float32
    assert thresholds[:3] + thresholds[4:] == pytest.approx([0.5] * 14, abs=1e-6)


def test_one_patient_more_moves_the_mean_of_draws_less_than_the_best_threshold():
    generator = np.random.default_rng(1)
    affected = generator.random((40, 15)) < 0.2
    reached = (generator.random((40, 15)) * 0.7 + 0.3 * affected).astype(np.float32)

    def spread(choose):
        rules = []
        for left_out in range(8):
            kept = np.arange(40) != left_out
            rules.append(choose(reached[kept], affected[kept]))
        return np.std(rules, axis=0).mean()

    def best(shown, truth):
        return region_thresholds(shown, truth, best_threshold(shown, truth)[0])

    assert spread(lambda r, a: drawn_thresholds(r, a, 0.5)) < spread(best)


def test_the_same_patients_choose_the_same_thresholds():
    generator = np.random.default_rng(0)
    affected = generator.random((20, 15)) < 0.2
    reached = generator.random((20, 15)).astype(np.float32)
    assert drawn_thresholds(reached, affected, 0.5) == drawn_thresholds(reached, affected, 0.5)


def test_a_region_without_clot_in_validation_keeps_the_common_threshold():
    affected = np.zeros((10, 15), bool)
    affected[:5, 1] = True
    reached = np.where(affected, 0.9, 0.1).astype(np.float32)
    assert region_thresholds(reached, affected, 0.4)[7] == pytest.approx(0.4)
