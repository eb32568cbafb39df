# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_benchmarks.phantom.twins import Twins
from aminet_benchmarks.phantom.visible_change import (
    ROWS,
    changed_pixels,
    nearest_pixels,
    signal_table,
    summarise,
    to_pixels,
)


@pytest.fixture(scope="module")
def twins(patient):
    return Twins(patient)


def test_nothing_changes_but_what_flow_says(twins):
    """Not one voxel, over the whole head and all phases."""
    slices = [twins.slice(index) for index in range(twins.patient.grid.shape[2])]

    assert sum(one.unexplained.sum() for one in slices) == 0
    assert sum((one.change != 0).sum() for one in slices) > 10_000
    allowed = np.mean([(one.vessels | one.tissue).mean() for one in slices])
    assert allowed < 0.5  # a mask of everything would prove nothing


def test_what_differs_elsewhere_is_found(twins, monkeypatch):
    monkeypatch.setattr(Twins, "_tissue", lambda _self, _index: np.zeros((104, 112), bool))

    assert sum(twins.slice(index).unexplained.sum() for index in range(24, 40)) > 0


def test_a_head_without_clots_has_no_differences(draw):
    one = Twins(draw(twin="none")).slice(24)

    assert not one.change.any()
    assert not one.vessels.any()
    assert not one.tissue.any()


def test_area_average_keeps_the_mean_and_mixes_by_overlap():
    planes = np.array([[[0, 2, 4], [0, 2, 4], [0, 2, 4]]], np.float32)

    wide = to_pixels(planes, 1.0, 1.5)

    np.testing.assert_allclose(wide[0, 0], [(1 * 0 + 0.5 * 2) / 1.5, (0.5 * 2 + 1 * 4) / 1.5])
    assert wide.shape == (1, 2, 2)


def test_labels_are_taken_at_the_middle_of_wider_pixels():
    plane = np.arange(16, dtype=np.uint8).reshape(4, 4)

    np.testing.assert_array_equal(nearest_pixels(plane, 1.0, 2.0), [[5, 7], [13, 15]])


def test_changes_show_on_slices_with_clot_in_their_region(twins):
    found = changed_pixels(twins)
    whole = ROWS.index("whole slice")

    hit = found.positive[:, whole]
    assert found.counts[hit, 0, whole].mean() > found.counts[~hit, 0, whole].mean()
    np.testing.assert_array_equal(found.counts[..., :whole].sum(axis=2), found.counts[..., whole])


def test_table_has_a_line_for_each_region(twins):
    signal = summarise([changed_pixels(twins)])

    assert list(signal) == list(ROWS)
    assert signal["whole slice"]["phase 1"]["patients"] == 1
    assert signal_table(signal).count("\n") == len(ROWS) + 2
