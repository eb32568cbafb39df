# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch

from aminet_train.dataset import BalancedSampler, SliceDataset, collate, unpack_cells


def test_slices_follow_patient_after_patient(prepared_cohort):
    patients = [prepared_cohort.patient(name) for name in prepared_cohort.patient_ids()[:3]]
    dataset = SliceDataset(patients)
    assert len(dataset) == sum(len(patient.kept) for patient in patients)
    second = dataset[len(patients[0].kept) + 5]
    expected = patients[1].images()[5].astype(np.float32) / 255
    np.testing.assert_array_equal(second.images.numpy(), expected)
    np.testing.assert_array_equal(second.labels.numpy(), patients[1].kept_labels[5])


def test_cells_name_the_region_that_the_labels_name(prepared_cohort):
    dataset = SliceDataset([prepared_cohort.patient(prepared_cohort.patient_ids()[0])])
    for index in range(len(dataset)):
        item = dataset[index]
        torch.testing.assert_close(item.cells.amax(dim=(1, 2)), item.labels)


def test_unpacks_each_bit_to_its_region():
    cells = unpack_cells(torch.tensor([[0b100000000000001, 0b10]]))
    assert cells.shape == (15, 1, 2)
    assert cells[:, 0, 0].nonzero().ravel().tolist() == [0, 14]
    assert cells[:, 0, 1].nonzero().ravel().tolist() == [1]


def test_sampler_takes_all_positives_and_the_share_of_negatives():
    labels = np.zeros((100, 15), np.uint8)
    labels[:10, 4] = 1
    sampler = BalancedSampler(labels, negatives_per_positive=2.0, seed=0)
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == 30
    assert set(range(10)) <= set(drawn)
    assert len(set(drawn)) == 30


def test_sampler_draws_other_negatives_in_the_next_epoch_and_the_same_for_the_same_seed():
    labels = np.zeros((100, 15), np.uint8)
    labels[:10, 4] = 1
    first, second = (BalancedSampler(labels, negatives_per_positive=2.0, seed=7) for _ in range(2))
    epochs = [list(first), list(first)]
    assert sorted(epochs[0]) != sorted(epochs[1])
    assert [list(second), list(second)] == epochs


def test_batch_stacks_all_parts(prepared_cohort):
    dataset = SliceDataset([prepared_cohort.patient(prepared_cohort.patient_ids()[0])])
    batch = collate([dataset[0], dataset[1]])
    assert batch.images.shape == (2, 1, 64, 64)
    assert batch.labels.shape == (2, 15)
    assert batch.cells.shape == (2, 15, 14, 14)
