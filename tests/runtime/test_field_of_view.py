# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from aminet_runtime.bundle import Bundle
from aminet_runtime.field_of_view import RegionsInView
from aminet_runtime.patient import Channel


@pytest.fixture
def contract(bundle_path):
    """The network sees the middle 60 % of the rows and 80 % of the columns."""
    tested = Bundle.open(bundle_path).metadata.input
    return replace(
        tested,
        channels=(*tested.channels, Channel.ATLAS),
        network_size_px=(60, 80),
        network_margin_px=(20, 10),
    )


def atlas(*, rows: slice, columns: slice) -> np.ndarray:
    values = np.zeros((100, 200), np.uint8)
    values[rows, columns] = 3
    return values


@pytest.mark.parametrize("edge", [100, 640])
def test_the_middle_is_seen_and_the_margin_is_not(contract, edge):
    view = RegionsInView(contract, height=edge, width=edge)
    values = np.zeros((edge, edge), np.uint8)
    rows, columns = edge // 5, edge // 10
    values[rows : edge - rows, columns : edge - columns] = 3
    values[:rows, columns : edge - columns] = 4
    view.add(values)
    assert view.cut_off(0.1) == (4,)


def test_a_region_is_cut_off_if_more_than_a_share_of_all_slices_is(contract):
    view = RegionsInView(contract, height=100, width=200)
    view.add(atlas(rows=slice(40, 60), columns=slice(80, 120)))
    view.add(atlas(rows=slice(0, 10), columns=slice(80, 120)))
    assert view.cut_off(0.2) == (3,)
    assert view.cut_off(0.5) == ()


def test_what_lies_around_the_head_is_not_counted(contract):
    view = RegionsInView(contract, height=100, width=200)
    view.add(atlas(rows=slice(40, 60), columns=slice(80, 120)))
    assert view.cut_off(0.05) == ()  # region 0 reaches the corners, the others are not there
