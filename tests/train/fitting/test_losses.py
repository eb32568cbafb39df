# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from aminet_runtime.errors import InputInconsistent
from aminet_train.fitting.dataset import SliceBatch
from aminet_train.fitting.losses import (
    LossConfig,
    mask_loss,
    slice_loss,
    total_loss,
    wanted_answers,
)

PLAIN = LossConfig(positive_weight=1.0, mask_positive_weight=1.0)


@pytest.fixture
def cells():
    cells = torch.zeros(1, 15, 14, 14)
    cells[0, 3, 6, 6] = 1.0
    return cells


def test_a_missed_positive_costs_the_positive_weight_times_a_false_alarm():
    labels = torch.tensor([[1.0, 0.0]])
    missed, alarmed = torch.tensor([[-2.0, -50.0]]), torch.tensor([[50.0, 2.0]])
    ratio = slice_loss(missed, labels, LossConfig(positive_weight=15.0)) / slice_loss(
        alarmed, labels, LossConfig(positive_weight=15.0)
    )
    assert float(ratio) == pytest.approx(15.0, rel=1e-4)


def test_cells_beside_the_clot_do_not_count(cells):
    quiet = torch.full_like(cells, -20.0)
    quiet[0, 3, 6, 6] = 20.0
    beside = quiet.clone()
    beside[0, 3, 5:8, 5:8] = 20.0
    assert float(mask_loss(beside, cells, PLAIN)) == pytest.approx(
        float(mask_loss(quiet, cells, PLAIN)), abs=1e-6
    )


def test_a_false_alarm_two_cells_away_counts(cells):
    quiet = torch.full_like(cells, -20.0)
    quiet[0, 3, 6, 6] = 20.0
    far = quiet.clone()
    far[0, 3, 6, 8] = 20.0
    # one cell with a logit of 20 costs 20, averaged over 15 regions
    assert float(mask_loss(far, cells, PLAIN)) == pytest.approx(20 / 15, rel=1e-3)


def test_the_same_place_in_another_region_counts(cells):
    evidence = torch.full_like(cells, -20.0)
    evidence[0, 4, 6, 6] = 20.0
    # the alarm and the missed clot, 20 each
    assert float(mask_loss(evidence, cells, PLAIN)) == pytest.approx(40 / 15, rel=1e-3)


def test_a_place_of_a_coarser_map_holds_clot_where_one_of_its_cells_does(cells):
    """Of 14 x 14 cells, cell 6 lies in row 3 of 7."""
    found = torch.full((1, 15, 7, 7), -20.0)
    found[0, 3, 3, 3] = 20.0
    assert float(mask_loss(found, cells, PLAIN)) == pytest.approx(0.0, abs=1e-6)
    assert float(mask_loss(torch.full_like(found, -20.0), cells, PLAIN)) > 1


def test_refuses_a_map_that_is_finer_than_the_cells(cells):
    with pytest.raises(InputInconsistent, match="28 x 28, finer than the clot cells, 14 x 14"):
        mask_loss(torch.zeros(1, 15, 28, 28), cells, PLAIN)


def test_weight_zero_leaves_masks_out(cells):
    batch = SliceBatch(torch.zeros(1, 1, 8, 8), torch.zeros(1, 15), torch.zeros(1, 15), cells)
    logits, evidence = torch.zeros(1, 15), torch.randn(1, 15, 5, 5)
    loss = total_loss(logits, evidence, batch, LossConfig(mask_weight=0.0))
    assert float(loss) == pytest.approx(float(slice_loss(logits, batch.labels, LossConfig())))


def test_a_clot_in_other_slices_asks_for_its_own_answer(cells):
    labels, elsewhere = torch.zeros(1, 15), torch.zeros(1, 15)
    labels[0, 3] = elsewhere[0, 4] = 1.0
    batch = SliceBatch(torch.zeros(1, 1, 8, 8), labels, elsewhere, cells)

    wanted = wanted_answers(batch, LossConfig(elsewhere_target=0.25))

    assert wanted[0, 3:6].tolist() == [1.0, 0.25, 0.0]
    assert torch.equal(wanted_answers(batch, LossConfig()), labels)
