# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aminet_train.cohort.deal import Candidate, deal_patients
from aminet_train.cohort.splits import Split


def candidates(count: int, seed: int = 0, *, affected: float = 0.19) -> list[Candidate]:
    generator = np.random.default_rng(seed)
    return [
        Candidate(f"p{number}", generator.random(15) < affected, frozenset({f"scan {number}"}))
        for number in range(count)
    ]


def sizes(splits) -> list[int]:
    return [len(splits[split]) for split in Split]


@settings(max_examples=30)
@given(count=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_everybody_is_dealt_once_and_64_16_20(count, seed):
    splits = deal_patients(candidates(count), seed=seed)
    dealt = [name for split in Split for name in splits[split]]
    assert sorted(dealt) == sorted(f"p{number}" for number in range(count))
    expected = [round(0.64 * count), round(0.16 * count)]
    assert sizes(splits) == [*expected, count - sum(expected)]


def test_the_order_in_which_patients_come_does_not_matter_and_the_seed_does():
    patients = candidates(50)
    assert deal_patients(patients, seed=1) == deal_patients(patients[::-1], seed=1)
    assert deal_patients(patients, seed=1) != deal_patients(patients, seed=2)


def test_each_region_is_balanced_better_than_by_chance():
    patients = candidates(127)
    regions = {patient.patient_id: patient.regions for patient in patients}

    def imbalance(groups) -> float:
        """Largest distance of a region's share in a split from its share in the cohort."""
        overall = np.mean(list(regions.values()), axis=0)
        shares = [np.mean([regions[name] for name in group], axis=0) for group in groups]
        return max(float(np.abs(share - overall).max()) for share in shares)

    for seed in range(5):
        splits = deal_patients(patients, seed=seed)
        order = np.random.default_rng(seed).permutation(list(regions))
        by_chance = imbalance(np.split(order, [81, 101]))
        assert imbalance([splits[split] for split in Split]) < by_chance / 2


def test_patients_of_one_key_are_on_one_side_also_through_others():
    patients = candidates(40)
    for number, keys in enumerate(({"a"}, {"a", "b"}, {"b", "c"}, {"c"})):
        plain = patients[number * 7]
        patients[number * 7] = Candidate(plain.patient_id, plain.regions, frozenset(keys))
    splits = deal_patients(patients, seed=0)
    together = {"p0", "p7", "p14", "p21"}
    assert any(together <= set(splits[split]) for split in Split)
    assert sizes(splits) == [26, 6, 8]


@pytest.mark.parametrize("new", [1, 10, 60])
def test_new_patients_fill_up_and_old_ones_stay(new):
    patients = candidates(40 + new)
    before = deal_patients(patients[:40], seed=0)
    after = deal_patients(patients, seed=7, dealt=before)
    for split in Split:
        assert set(before[split]) <= set(after[split])
    total = 40 + new
    for share, size in zip((0.64, 0.16, 0.20), sizes(after), strict=True):
        assert abs(size - share * total) <= 1


def test_a_copy_of_an_old_patient_follows_him():
    patients = candidates(20)
    before = deal_patients(patients, seed=0)
    test_patient = next(p for p in patients if p.patient_id in before[Split.TEST])
    copy = Candidate("copy", test_patient.regions, test_patient.keys)
    after = deal_patients([*patients, copy], seed=0, dealt=before)
    assert "copy" in after[Split.TEST]


def test_who_is_gone_is_not_dealt_and_the_others_stay():
    patients = candidates(20)
    before = deal_patients(patients, seed=0)
    gone = before[Split.TEST][0]
    after = deal_patients([p for p in patients if p.patient_id != gone], seed=0, dealt=before)
    for split in Split:
        assert set(after[split]) == set(before[split]) - {gone}


def test_thousands_are_dealt_in_seconds():
    assert sizes(deal_patients(candidates(2000), seed=0)) == [1280, 320, 400]
