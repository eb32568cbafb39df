# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_runtime.errors import InputInconsistent
from aminet_train.cohort.truth import TruthCollector, clot_cells, region_maxima


def test_last_row_and_column_fall_into_the_last_cell():
    clot = np.zeros((513, 511), np.uint8)
    clot[-1, -1] = 2
    cells = clot_cells(clot, np.full(clot.shape, 14, np.uint8))
    assert cells[-1, -1] == 1 << 14
    assert np.count_nonzero(cells) == 1


def test_highest_spiral_value_is_that_of_its_region_only():
    spiral = np.zeros((6, 5), np.float32)
    atlas = np.zeros((6, 5), np.uint8)
    atlas[3:] = 7
    atlas[5, 4] = 14
    spiral[1, 1], spiral[4, 2], spiral[4, 3] = 0.25, 0.5, 0.75
    expected = np.zeros(15, np.float32)
    expected[0], expected[7] = 0.25, 0.75
    np.testing.assert_array_equal(region_maxima(spiral, atlas), expected)


def test_every_clot_voxel_counts_whether_1_or_2():
    atlas, clot = np.full((8, 8), 3, np.uint8), np.zeros((8, 8), np.uint8)
    atlas[:, 4:] = 9
    clot[7, 0], clot[0, 7] = 1, 2
    collector = TruthCollector(3)
    collector.add_clot(1, atlas=atlas, clot=clot)
    truth = collector.truth()
    assert np.argwhere(truth.labels).tolist() == [[1, 3], [1, 9]]
    assert truth.clot_cells[1].max() == 1 << 9
    assert truth.spiral is None


def test_a_third_kind_of_clot_is_refused():
    collector = TruthCollector(1)
    atlas, clot = np.zeros((4, 4), np.uint8), np.full((4, 4), 3, np.uint8)
    with pytest.raises(InputInconsistent, match="clot mask has values from 3 to 3"):
        collector.add_clot(0, atlas=atlas, clot=clot)
