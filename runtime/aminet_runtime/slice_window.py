# SPDX-License-Identifier: Apache-2.0
"""From single slices to what a network answers for: a slice with its neighbours.

A network may look at a window of 3 or 5 slices. Its planes are, for each channel in turn, the
slices of its window from low to high; or it sees each slice alone, and the window is one of
features. At the ends of the scan the last slice repeats. Slices come in stored order, upward or
downward; only as many are held as the window spans.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

WriteSlice = Callable[[NDArray[np.float32]], None]
"""Writes the HU of a slice into float32 [channels, H, W]."""

SliceSource = Iterable[tuple[int, WriteSlice]]
"""Canonical slice number, and what writes its HU; in stored order."""


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
    by_channel = planes.reshape(-1, window, *planes.shape[1:])  # [channels, window, H, W]
    ring = np.empty((held_slices(window, step), len(by_channel), *planes.shape[1:]), np.float32)
    taken = _numbered(slices, lambda write, place: write(ring[place]), size=len(ring))
    for index, places in _walk(taken, window=window, step=step):
        for plane, place in enumerate(places):
            by_channel[:, plane] = ring[place]
        yield index


def fill_features(
    slices: SliceSource,
    look: Callable[[WriteSlice], NDArray[np.float32]],
    shown: NDArray[np.float32],
    *,
    step: int,
) -> Iterator[int]:
    """Look at each slice once, and write its features with its neighbours' into a window.

    Args:
        slices: Slices in stored order, with consecutive numbers.
        look: Tells the features of a slice, float32 [L].
        shown: float32 [window, L], the features of a window of 3 or 5, written in place.
        step: Slices from one neighbour to the next.

    Yields:
        The number of the slice that `shown` is about until the next one is asked for.
    """
    window = len(shown)
    ring = np.empty((held_slices(window, step), *shown.shape[1:]), np.float32)

    def take(write: WriteSlice, place: int) -> None:
        ring[place] = look(write)

    for index, places in _walk(_numbered(slices, take, size=len(ring)), window=window, step=step):
        for neighbour, place in enumerate(places):
            shown[neighbour] = ring[place]
        yield index


class RecentSlices:
    """Passes slices on and keeps copies of the last ones, for they are answered for later.

    Args:
        slices: In stored order.
        window: 3 or 5.
        step: Slices from one neighbour to the next.
    """

    def __init__(self, slices: SliceSource, *, window: int, step: int) -> None:
        self._slices = slices
        self._count = _reach(window, step) + 1
        self._kept: dict[int, NDArray[np.float32]] = {}

    def __iter__(self) -> Iterator[tuple[int, WriteSlice]]:
        for index, write in self._slices:
            yield index, partial(self._write_and_keep, index, write)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Return a slice that is not yet answered for, float32 [channels, H, W]."""
        return self._kept[index]

    def _write_and_keep(self, index: int, write: WriteSlice, out: NDArray[np.float32]) -> None:
        write(out)
        full = len(self._kept) == self._count
        memory = self._kept.pop(next(iter(self._kept))) if full else np.empty_like(out)
        memory[:] = out
        self._kept[index] = memory


def _numbered(
    slices: SliceSource, take: Callable[[WriteSlice, int], None], *, size: int
) -> Iterator[int]:
    """Take slice after slice into the places of a ring, and yield their numbers."""
    for position, (index, write) in enumerate(slices):
        take(write, position % size)
        yield index


def _walk(taken: Iterator[int], *, window: int, step: int) -> Iterator[tuple[int, list[int]]]:
    """Yield each slice once its neighbours were taken, with the places of its window in the ring.

    The places run from the lowest slice to the highest.
    """
    reach, size = _reach(window, step), held_slices(window, step)
    indices: list[int] = []

    def around(centre: int) -> tuple[int, list[int]]:
        positions = _neighbours(centre, window=window, step=step, last=len(indices) - 1)
        return indices[centre], [position % size for position in _upward(positions, indices)]

    for index in taken:
        indices.append(index)
        if len(indices) > reach:
            yield around(len(indices) - 1 - reach)
    for centre in range(max(0, len(indices) - reach), len(indices)):
        yield around(centre)


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
