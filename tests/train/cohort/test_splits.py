# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aminet_runtime.errors import InputDamaged, InputInconsistent, InputMissing
from aminet_train.cohort.splits import (
    Split,
    SplitBy,
    Splits,
    check_groups_apart,
    check_no_leak,
    is_leaking,
    read_splits,
    slice_split,
    split_slices,
    write_splits,
)


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
    splits = Splits({Split.TRAIN: ("a", "b"), Split.VALIDATION: ("c",), Split.TEST: ()}, seed=0)
    write_splits(tmp_path, splits)
    assert read_splits(tmp_path) == splits


def test_a_cohort_without_splits_says_what_to_do(tmp_path):
    with pytest.raises(InputMissing, match="run aminet-prepare"):
        read_splits(tmp_path)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 400))
def test_every_slice_is_in_exactly_one_split(seed, count):
    splits = split_slices(["p"], seed=seed)
    dealt = [splits.slices_of("p", split, slice_count=count).tolist() for split in Split]
    assert sorted(number for part in dealt for number in part) == list(range(count))
    assert all(part == sorted(part) for part in dealt)


def test_slices_are_dealt_64_16_20_and_alike_for_the_same_seed_and_name():
    dealt = slice_split("p", 3, 100)
    assert np.bincount(dealt).tolist() == [64, 16, 20]
    assert dealt.dtype == np.int8
    np.testing.assert_array_equal(dealt, slice_split("p", 3, 100))
    assert not np.array_equal(dealt, slice_split("q", 3, 100))
    assert not np.array_equal(dealt, slice_split("p", 4, 100))


def test_splits_by_slice_say_that_they_leak(tmp_path):
    assert not is_leaking(tmp_path)
    write_splits(tmp_path, split_slices(["a", "b"], seed=3))
    splits = read_splits(tmp_path)
    assert splits.by is SplitBy.SLICE
    assert splits[Split.TEST] == ("a", "b")
    assert splits.leaking
    assert is_leaking(tmp_path)


def test_refuses_a_group_on_two_sides_and_passes_patients_of_no_group():
    apart = {Split.TRAIN: {"a": "tree 1", "b": None}, Split.TEST: {"c": None, "d": "tree 2"}}
    check_groups_apart(apart)
    with pytest.raises(InputInconsistent, match=r"e \(test\) and a \(train\) are of one group"):
        check_groups_apart({**apart, Split.TEST: {"e": "tree 1"}})


def test_a_damaged_file_of_splits_is_refused(tmp_path):
    (tmp_path / "splits.json").write_text('{"train": ["a"]}')
    with pytest.raises(InputDamaged, match="not a file of splits"):
        read_splits(tmp_path)
