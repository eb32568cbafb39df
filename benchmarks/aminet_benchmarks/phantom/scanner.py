# SPDX-License-Identifier: Apache-2.0
"""The scanner: correlated noise, the head holder, and what registration does to phases 2 and 3."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from aminet_benchmarks.phantom.grid import Pose, ScanGrid
from aminet_benchmarks.phantom.randomness import stream

NOISE_SIGMA_PX = 0.78  # neighbours in a slice correlate by exp(-1 / (4 sigma^2)) = 0.66
SLICE_BLEND = (0.5, 1.0, 0.5)  # neighbours across slices correlate by 0.67
BANK_PLANES = 4
BANK_MARGIN = 384
BANK_SEED = 20231
HOLDER_HU = (-860.0, 60.0)  # foam, shell
HU_LIMITS = (-1024, 3071)


@lru_cache(maxsize=2)
def noise_bank(size: int) -> NDArray[np.float32]:
    """Return planes [BANK_PLANES, size, size] of correlated noise of unit SD, read-only.

    One bank serves all patients: each slice cuts three windows at its own offsets and flips.
    """
    rng = np.random.default_rng(BANK_SEED)
    bank = rng.standard_normal((BANK_PLANES, size, size), dtype=np.float32)
    for plane in bank:
        plane[:] = gaussian_filter(plane, NOISE_SIGMA_PX, mode="wrap", truncate=3.0)
    bank /= bank.std() * np.float32(np.sqrt(np.square(SLICE_BLEND).sum()))
    bank.setflags(write=False)
    return bank


class SliceNoise:
    """The noise of one patient: the same values whichever slices are asked for, and when."""

    __slots__ = ("_cuts", "_shape", "_size", "sd_hu")

    def __init__(self, grid: ScanGrid, *, seed: int, sd_hu: float) -> None:
        columns, rows, slices = grid.shape
        self._shape = (rows, columns)
        self._size = max(rows, columns) + BANK_MARGIN
        rng = stream(seed, "noise")
        spare = (self._size - rows, self._size - columns)
        highs = (BANK_PLANES, spare[0], spare[1], 2, 2)
        self._cuts = rng.integers(0, highs, (3, slices + 2, 5))
        self.sd_hu = sd_hu

    def plane(self, phase: int, index: int) -> NDArray[np.float32]:
        """Return the noise [H, W] of a slice in HU; phase is 0..2."""
        bank = noise_bank(self._size)
        total = np.zeros(self._shape, np.float32)
        for offset, weight in enumerate(SLICE_BLEND):
            part = self._window(bank, self._cuts[phase, index + offset])
            total += part if weight == 1.0 else np.float32(weight) * part
        total *= np.float32(self.sd_hu)
        return total

    def _window(self, bank: NDArray[np.float32], cut: NDArray[np.int64]) -> NDArray[np.float32]:
        plane, row, column, flip_rows, flip_columns = cut
        rows, columns = self._shape
        window = bank[plane, row : row + rows, column : column + columns]
        return window[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def empty_scanner(grid: ScanGrid, pose: Pose) -> NDArray[np.float32]:
    """Return a slice [H, W] without a head: air, and the holder behind the head."""
    columns, rows, _ = grid.shape
    x = grid.origin_mm[0] - np.arange(columns, dtype=np.float32) * grid.spacing_mm[0]
    y = grid.origin_mm[1] - np.arange(rows, dtype=np.float32) * grid.spacing_mm[1]
    back = float(-126 * pose.scale[1] + pose.shift_mm[1])
    centre_y = back + 128
    radius = np.hypot(x[None, :], (y - centre_y)[:, None])
    behind = (y < centre_y - 70)[:, None]
    foam = np.clip((radius - 124) / 0.8 + 0.5, 0, 1) * np.clip((138 - radius) / 0.8 + 0.5, 0, 1)
    shell = np.clip(1 - np.abs(radius - 138) / 0.9, 0, 1)
    hu = -1000 + behind * (foam * (HOLDER_HU[0] + 1000))
    hu += behind * shell * (HOLDER_HU[1] - hu)
    return np.asarray(hu, np.float32)


def shift_plane(plane: NDArray[np.float32], shift_px: tuple[float, float]) -> NDArray[np.float32]:
    """Resample a plane [H, W] by a sub-pixel shift (rows, columns), as registration does."""
    moved = plane
    for axis, amount in enumerate(shift_px):
        moved = _shift_axis(moved, amount, axis)
    return moved


def _shift_axis(plane: NDArray[np.float32], amount: float, axis: int) -> NDArray[np.float32]:
    whole = int(np.floor(amount))
    share = np.float32(amount - whole)
    pad = [(0, 0), (0, 0)]
    reach = abs(whole) + 1
    pad[axis] = (reach, reach)
    wide = np.pad(plane, pad, mode="edge")
    length = plane.shape[axis]

    def part(start: int) -> NDArray[np.float32]:
        cut = slice(start, start + length)
        return wide[cut] if axis == 0 else wide[:, cut]

    first = part(reach + whole)
    if share == 0:
        return first
    return np.asarray(first + share * (part(reach + whole + 1) - first), np.float32)


def to_stored_hu(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round and limit HU to what an int16 CT file holds, in place."""
    np.rint(plane, out=plane)
    return np.clip(plane, *HU_LIMITS, out=plane)
