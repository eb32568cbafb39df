# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from aminet_train.metrics import count
from aminet_train.thresholds import (
    best_threshold,
    choose_rule,
    fitted_threshold,
    fitted_thresholds,
)

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


def ranked_pairs(patients: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return region probabilities [P, 15] that tell much of the truth [P, 15], and the truth."""
    generator = np.random.default_rng(seed)
    affected = generator.random((patients, 15)) < 0.2
    log_odds = generator.normal(3.0 * affected - 1.0)
    return (1 / (1 + np.exp(-log_odds))).astype(np.float32), affected


def test_thresholds_are_nearly_the_best_on_patients_that_did_not_choose_them():
    thresholds = fitted_thresholds(*ranked_pairs(60))
    reached, affected = ranked_pairs(2000, seed=1)
    found = count(reached >= np.array(thresholds, np.float32), affected).f1
    assert found > best_threshold(reached, affected)[1] - 0.01


def test_a_region_of_false_alarms_gets_a_higher_threshold_than_the_others():
    reached, affected = ranked_pairs(60)
    reached[:, 3] = 1 - (1 - reached[:, 3]) / 4  # region 3 looks like a clot more than it should
    thresholds = fitted_thresholds(reached, affected)
    assert thresholds[3] > max(thresholds[:3] + thresholds[4:])


def test_one_patient_more_moves_fitted_thresholds_less_than_the_best_one():
    reached, affected = ranked_pairs(40)

    def spread(choose):
        rules = []
        for left_out in range(8):
            kept = np.arange(40) != left_out
            rules.append(choose(reached[kept], affected[kept]))
        return np.std(rules, axis=0).mean()

    assert spread(fitted_thresholds) < spread(lambda *pairs: best_threshold(*pairs)[0])


def test_one_patient_more_moves_the_common_threshold_of_slices_less_than_the_best_one():
    scores, truth = ranked_pairs(40)

    def spread(choose):
        thresholds = [choose(np.delete(scores, k, 0), np.delete(truth, k, 0)) for k in range(8)]
        return np.std(thresholds)

    assert spread(fitted_threshold) < spread(lambda *pairs: best_threshold(*pairs)[0])


def test_the_common_threshold_is_nearly_the_best_on_slices_that_did_not_choose_it():
    threshold = fitted_threshold(*ranked_pairs(60))
    scores, truth = ranked_pairs(2000, seed=1)
    assert count(scores >= threshold, truth).f1 > best_threshold(scores, truth)[1] - 0.01


def test_thresholds_follow_the_scale_of_the_scores():
    reached, affected = ranked_pairs(40)
    odds = reached / (1 - reached)
    rescaled = (odds / 20 / (1 + odds / 20)).astype(np.float32)  # all log-odds 3.0 lower
    thresholds, lower = (np.array(fitted_thresholds(r, affected)) for r in (reached, rescaled))
    np.testing.assert_allclose(lower, thresholds / (20 - 19 * thresholds), rtol=1e-3)


def test_the_same_patients_choose_the_same_thresholds():
    assert fitted_thresholds(*ranked_pairs(20)) == fitted_thresholds(*ranked_pairs(20))


def test_a_region_without_clot_in_validation_is_not_flagged_sooner_than_the_others():
    reached, affected = ranked_pairs(30)
    affected[:, 7] = False
    thresholds = fitted_thresholds(reached, affected)
    assert thresholds[7] >= max(thresholds)


@pytest.mark.parametrize("affected", [False, True])
def test_patients_who_are_all_alike_choose_the_common_threshold(affected):
    reached, _ = ranked_pairs(4)
    alike = np.full((4, 15), affected)
    thresholds = fitted_thresholds(reached, alike)
    assert thresholds == pytest.approx([best_threshold(reached, alike)[0]] * 15)


@given(
    hnp.arrays(np.float32, (4, 15), elements=st.floats(0, 1, width=32)),
    hnp.arrays(np.bool_, (4, 15)),
)
def test_thresholds_are_probabilities_whatever_the_scores(reached, affected):
    thresholds = np.array(fitted_thresholds(reached, affected))
    assert ((thresholds > 0) & (thresholds < 1)).all()
