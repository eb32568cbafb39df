# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aminet_runtime.errors import InputInconsistent, InputMissing
from aminet_train.splits import Split, Splits, check_no_leak, draw_splits, read_splits, write_splits


@given(count=st.integers(0, 200), seed=st.integers(0, 2**32 - 1))
def test_every_patient_is_in_exactly_one_split(count, seed):
    names = [f"p{number}" for number in range(count)]
    splits = draw_splits(names, seed=seed)
    dealt = [name for split in Split for name in splits[split]]
    assert sorted(dealt) == sorted(names)


def test_deals_64_16_20():
    splits = draw_splits([f"p{number}" for number in range(100)], seed=1)
    assert [len(splits[split]) for split in Split] == [64, 16, 20]


def test_same_seed_deals_the_same_and_another_seed_does_not():
    names = [f"p{number}" for number in range(50)]
    assert draw_splits(names, seed=1) == draw_splits(names[::-1], seed=1)
    assert draw_splits(names, seed=1) != draw_splits(names, seed=2)


def test_refuses_a_patient_in_two_splits():
    with pytest.raises(InputInconsistent, match="patient b is in test and in another"):
        Splits({Split.TRAIN: ("a", "b"), Split.TEST: ("b",)})


def test_refuses_one_scan_under_two_names_in_two_splits():
    with pytest.raises(
        InputInconsistent, match=r"second \(test\) and first \(train\) are the same"
    ):
        check_no_leak({Split.TRAIN: {"first": "hash"}, Split.TEST: {"second": "hash"}})


def test_allows_one_scan_twice_in_one_split():
    check_no_leak({Split.TRAIN: {"first": "hash", "second": "hash"}})


def test_splits_survive_their_file(tmp_path):
    splits = draw_splits([f"p{number}" for number in range(10)], seed=0)
    write_splits(tmp_path, splits)
    assert read_splits(tmp_path) == splits


def test_a_cohort_without_splits_says_what_to_do(tmp_path):
    with pytest.raises(InputMissing, match="run aminet-prepare"):
        read_splits(tmp_path)
