# SPDX-License-Identifier: Apache-2.0
"""A slice and its neighbours, whatever the order in which slices come."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aminet_runtime.slice_window import fill_planes, held_slices, window_step

CHANNELS = 2


def value_of(index, channel):
    """A slice is filled with a number that tells where it came from."""
    return index * 10 + channel


def write(index, out):
    assert out.shape == (CHANNELS, 2, 3)
    for channel in range(CHANNELS):
        out[channel] = value_of(index, channel)


def walk(indices, *, window, step):
    """Return what `planes` held for each slice: {index: one number a plane}."""
    planes = np.full((CHANNELS * window, 2, 3), np.nan, np.float32)
    source = ((index, partial(write, index)) for index in indices)
    seen = {}
    for index in fill_planes(source, planes, window=window, step=step):
        assert (planes == planes[:, :1, :1]).all()
        seen[index] = planes[:, 0, 0].tolist()
    return seen


def test_planes_are_channel_by_channel_from_low_to_high():
    seen = walk(range(5), window=3, step=1)

    assert seen[2] == [10, 20, 30, 11, 21, 31]


def test_last_slice_repeats_beyond_the_ends():
    seen = walk(range(5), window=3, step=1)

    assert seen[0][:3] == [0, 0, 10]
    assert seen[4][:3] == [30, 40, 40]


def test_window_of_five_with_a_step_reaches_that_far():
    seen = walk(range(12), window=5, step=2)

    assert seen[6][:5] == [20, 40, 60, 80, 100]
    assert seen[1][:5] == [0, 0, 10, 30, 50]


def test_scan_stored_downward_has_the_same_planes():
    assert walk(range(7), window=3, step=2) == walk(reversed(range(7)), window=3, step=2)


@given(
    count=st.integers(0, 20),
    window=st.sampled_from([1, 3, 5]),
    step=st.integers(1, 4),
    downward=st.booleans(),
)
def test_planes_are_those_of_a_plain_loop(count, window, step, downward):
    indices = range(count)[:: -1 if downward else 1]

    seen = walk(indices, window=window, step=step)

    assert list(seen) == list(indices), "each slice once, in stored order"
    half = window // 2
    for index, planes in seen.items():
        neighbours = [
            min(max(index + offset * step, 0), count - 1) for offset in range(-half, half + 1)
        ]
        assert planes == [
            value_of(other, channel) for channel in range(CHANNELS) for other in neighbours
        ]


def test_single_slices_are_written_straight_into_the_input():
    planes = np.zeros((CHANNELS, 2, 3), np.float32)
    targets = []

    list(fill_planes([(0, targets.append)], planes, window=1, step=1))

    assert targets[0] is planes
    assert held_slices(1, 1) == 0


@pytest.mark.parametrize(
    ("window_mm", "slice_mm", "step"),
    [(None, None, 1), (None, 0.625, 1), (5.0, 0.625, 8), (1.0, 5.0, 1), (1.25, 0.9, 1)],
)
def test_step_is_the_nearest_whole_number_of_slices(window_mm, slice_mm, step):
    assert window_step(window_mm, slice_spacing_mm=slice_mm) == step


def test_step_in_mm_needs_the_spacing_of_the_slices():
    with pytest.raises(ValueError, match="slice_spacing_mm is needed"):
        window_step(1.0, slice_spacing_mm=None)
