# SPDX-License-Identifier: Apache-2.0
"""From single slices to the planes of the network's input: a slice with its neighbours.

A network may look at a window of 3 or 5 slices. The planes then are, for each channel in turn, the
slices of its window from low to high; at the ends of the scan the last slice repeats. Slices come
in stored order, upward or downward; only as many are held as the window spans.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

SliceSource = Iterable[tuple[int, Callable[[NDArray[np.float32]], None]]]
"""Canonical slice number, and what writes its HU into float32 [channels, H, W]; in stored order."""


def window_step(window_spacing_mm: float | None, *, slice_spacing_mm: float | None) -> int:
    """Return how many slices apart the neighbours of a window are, at least 1.

    Args:
        window_spacing_mm: Wanted distance; None for the next slice.
        slice_spacing_mm: Distance of the scan's slices; needed where a distance is wanted.

    Raises:
        ValueError: A distance is wanted, but that of the slices is not known.
    """
    if window_spacing_mm is None:
        return 1
    if slice_spacing_mm is None:
        raise ValueError("this bundle looks at neighbours in mm: slice_spacing_mm is needed")
    return max(1, round(window_spacing_mm / slice_spacing_mm))


def held_slices(window: int, step: int) -> int:
    """Return how many slices are held at once beside the network's input."""
    return 0 if window == 1 else 2 * _reach(window, step) + 1


def fill_planes(
    slices: SliceSource, planes: NDArray[np.float32], *, window: int, step: int
) -> Iterator[int]:
    """Write slice after slice, with its neighbours, into the network's input.

    Args:
        slices: Slices in stored order, with consecutive numbers.
        planes: float32 [channels x window, H, W], written in place.
        window: 1, 3 or 5.
        step: Slices from one neighbour to the next.

    Yields:
        The number of the slice that `planes` is about until the next one is asked for.
    """
    if window == 1:
        for index, write in slices:
            write(planes)
            yield index
    else:
        yield from _fill_with_neighbours(slices, planes, window=window, step=step)


def _fill_with_neighbours(
    slices: SliceSource, planes: NDArray[np.float32], *, window: int, step: int
) -> Iterator[int]:
    reach = _reach(window, step)
    by_channel = planes.reshape(-1, window, *planes.shape[1:])  # [channels, window, H, W]
    ring = np.empty((held_slices(window, step), len(by_channel), *planes.shape[1:]), np.float32)
    indices: list[int] = []
    for position, (index, write) in enumerate(slices):
        write(ring[position % len(ring)])
        indices.append(index)
        if position >= reach:
            positions = _neighbours(position - reach, window=window, step=step, last=position)
            _gather(by_channel, ring, positions=_upward(positions, indices))
            yield indices[position - reach]
    last = len(indices) - 1
    for centre in range(max(0, last + 1 - reach), last + 1):
        positions = _neighbours(centre, window=window, step=step, last=last)
        _gather(by_channel, ring, positions=_upward(positions, indices))
        yield indices[centre]


def _reach(window: int, step: int) -> int:
    """Slices from the centre of a window to its end."""
    return window // 2 * step


def _neighbours(centre: int, *, window: int, step: int, last: int) -> list[int]:
    """List the positions of a window in stored order; beyond the ends the last slice repeats."""
    half = window // 2
    return [min(max(centre + k * step, 0), last) for k in range(-half, half + 1)]


def _upward(positions: list[int], indices: list[int]) -> list[int]:
    """Turn positions in stored order to run from the lowest slice to the highest."""
    return sorted(positions, key=indices.__getitem__)


def _gather(
    by_channel: NDArray[np.float32], ring: NDArray[np.float32], *, positions: list[int]
) -> None:
    for plane, position in enumerate(positions):
        by_channel[:, plane] = ring[position % len(ring)]
