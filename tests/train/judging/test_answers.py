# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aminet_runtime.errors import InputInconsistent
from aminet_train.judging.answers import PatientAnswer, answer, evaluate_answers, vote
from aminet_train.thresholds import ChosenRule

RULE = ChosenRule((0.5,) * 15, 0.4, 2)
SCORES = hnp.arrays(np.float32, (4, 15), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))


def scores_of(values: dict[tuple[int, int], float], slices: int = 6) -> np.ndarray:
    scores = np.zeros((slices, 15), np.float32)
    for place, value in values.items():
        scores[place] = value
    return scores


def test_slices_and_patient_are_decided_by_their_own_thresholds():
    found = answer(scores_of({(1, 3): 0.45, (2, 3): 0.6, (4, 7): 0.9}), RULE)
    assert np.argwhere(found.slice_flags).tolist() == [[1, 3], [2, 3], [4, 7]]
    # two slices in a row: region 3 reaches .45, region 7 stands alone
    assert found.region_scores[3] == pytest.approx(0.45)
    assert found.region_scores[7] == 0.0
    assert not found.region_flags.any()


@given(st.lists(SCORES, min_size=3, max_size=3), st.lists(SCORES, min_size=3, max_size=3))
def test_the_majority_decides_each_pair(first, second):
    members = [answer(a * b, RULE) for a, b in zip(first, second, strict=True)]
    decided = vote(members)
    for level in ("slice_flags", "region_flags"):
        votes = sum(getattr(member, level).astype(int) for member in members)
        np.testing.assert_array_equal(getattr(decided, level), votes >= 2)


def test_a_pair_with_more_votes_ranks_higher_whatever_its_scores():
    def member(low: float, high: float) -> PatientAnswer:
        rule = ChosenRule((0.5,) * 15, 0.5, 1)
        return answer(scores_of({(0, 0): low, (0, 1): high}, slices=1), rule)

    # pair 0 has three narrow votes, pair 1 two wide ones
    decided = vote([member(0.5, 1.0), member(0.5, 1.0), member(0.5, 0.49)])
    assert decided.slice_scores[0, 0] > decided.slice_scores[0, 1]
    assert decided.slice_scores.max() <= 1.0


def test_members_must_answer_for_the_same_slices():
    with pytest.raises(InputInconsistent, match="different slices"):
        vote([answer(scores_of({}, slices=n), RULE) for n in (4, 4, 5)])


def test_counts_of_both_levels_and_of_regions():
    labels = np.zeros((6, 15), np.uint8)
    labels[1:3, 3] = 1
    labels[5, 9] = 1
    found = answer(scores_of({(1, 3): 0.8, (2, 3): 0.8, (0, 7): 0.6}), RULE)
    report = evaluate_answers([found], [labels])
    counts = {
        level: [report[level][k] for k in ("tp", "fp", "fn", "tn")]
        for level in report
        if level in ("slice", "patient")
    }
    assert counts == {"slice": [2, 1, 1, 86], "patient": [1, 0, 1, 13]}
    assert report["per_region"][7]["slice"]["fp"] == 1
    assert report["per_region"][9]["fn"] == 1
    assert report["patient"]["exact"] == 0.0
    # one patient: drawing patients with replacement always gives the same one
    assert report["slice"]["precision_ci95"] == pytest.approx([2 / 3, 2 / 3])


def test_nothing_flagged_and_nothing_true_is_zero_and_no_error():
    report = evaluate_answers([answer(scores_of({}), RULE)], [np.zeros((6, 15), np.uint8)])
    assert report["slice"]["f1"] == report["patient"]["precision"] == 0.0
    assert report["slice"]["accuracy"] == 1.0
