# SPDX-License-Identifier: Apache-2.0
"""The scanner: correlated noise, beam hardening, the head holder, registration of later phases."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.grid import Pose, ScanGrid, Window
from aminet_benchmarks.phantom.randomness import stream

Field = NDArray[np.float32]

NOISE_SIGMA_PX = 0.78  # neighbours in a slice correlate by exp(-1 / (4 sigma^2)) = 0.66
SLICE_BLEND = (0.5, 1.0, 0.5)  # neighbours across slices correlate by 0.67
BANK_PLANES = 4
BANK_MARGIN = 384
BANK_SEED = 20231
AIR_NOISE = 0.6  # against the middle of the head
LONGEST_SHIFT_PX = 3.0
BEAM_HARDENING_HU = -10.0  # between the pyramids
HOLDER_FOAM_HU = -860.0
HOLDER_SHELL_HU = 60.0
HOLDER_MM = (124.0, 138.0)  # inner and outer radius
EDGE_MM = 0.8
AIR_HU = -1000
HU_LIMITS = (-1024, 3071)


class Scanner:
    """What the scanner adds to one patient: the same for a slice whenever it is asked for.

    Attributes:
        sd_hu: Noise in the middle of the brain.
        shifts_px: Shift (rows, columns) of each phase after registration.
    """

    __slots__ = ("_cuts", "_shape", "_size", "sd_hu", "shifts_px")

    def __init__(self, grid: ScanGrid, *, config: PhantomConfig, seed: int) -> None:
        columns, rows, slices = grid.shape
        self._shape = (rows, columns)
        self._size = max(rows, columns) + BANK_MARGIN
        highs = (BANK_PLANES, self._size - rows, self._size - columns, 2, 2)
        self._cuts = stream(seed, "noise").integers(0, highs, (3, slices + 2, 5))
        rng = stream(seed, "scanner")
        self.sd_hu = float(rng.uniform(*config.noise_sd_hu))
        sd_px = config.misregistration_mm / grid.spacing_mm[0]
        moved = rng.normal(0, sd_px, (2, 2)).clip(-LONGEST_SHIFT_PX, LONGEST_SHIFT_PX)
        shifts = [(0.0, 0.0), *((float(row), float(column)) for row, column in moved)]
        self.shifts_px: tuple[tuple[float, float], ...] = tuple(shifts)

    def noise(self, phase: int, index: int, *, gain: Field, window: Window) -> Field:
        """Return the noise [H, W] of a slice in HU, with its local gain in a window."""
        noise = self._plane(phase, index)
        noise[window.rows, window.columns] *= gain * np.float32(1 / AIR_NOISE)
        noise *= np.float32(AIR_NOISE)
        return noise

    def _plane(self, phase: int, index: int) -> Field:
        """Blend three windows of the bank, so that neighbouring slices correlate."""
        bank = noise_bank(self._size)
        total = np.zeros(self._shape, np.float32)
        for offset, weight in enumerate(SLICE_BLEND):
            total += np.float32(weight) * self._cut(bank, self._cuts[phase - 1, index + offset])
        total *= np.float32(self.sd_hu)
        return total

    def _cut(self, bank: Field, cut: NDArray[np.int64]) -> Field:
        plane, row, column, flip_rows, flip_columns = cut
        rows, columns = self._shape
        window = bank[plane, row : row + rows, column : column + columns]
        return window[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


@lru_cache(maxsize=2)
def noise_bank(size: int) -> Field:
    """Return planes [BANK_PLANES, size, size] of correlated noise, read-only.

    Three of them blended by SLICE_BLEND have unit SD. One bank serves all patients: each slice
    cuts three windows at offsets and flips of its own.
    """
    rng = np.random.default_rng(BANK_SEED)
    bank = rng.standard_normal((BANK_PLANES, size, size), dtype=np.float32)
    for plane in bank:
        plane[:] = gaussian_filter(plane, NOISE_SIGMA_PX, mode="wrap", truncate=3.0)
    bank /= bank.std() * np.float32(np.sqrt(np.square(SLICE_BLEND).sum()))
    bank.setflags(write=False)
    return bank


def noise_gain(points: Field) -> Field:
    """Return the noise at points of the head against the middle of the brain.

    X-rays through the middle and through the skull base are weakened most.
    """
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    centre = np.exp(-((x / 80) ** 2) - ((y + 16) / 100) ** 2)
    base = 1 / (1 + np.exp((z + 25) / 8))
    return np.asarray(AIR_NOISE + 0.4 * centre + 0.35 * base * centre, np.float32)


def beam_hardening_hu(points: Field) -> Field:
    """Return the dark band between the petrous pyramids at points of the head."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    between = np.exp(-(((z + 42) / 9) ** 2) - ((y + 27) / 14) ** 2 - (x / 30) ** 2)
    return np.asarray(BEAM_HARDENING_HU * between, np.float32)


def empty_scanner(grid: ScanGrid, pose: Pose) -> Field:
    """Return a slice [H, W] without a head: air, and the holder behind the head."""
    columns, rows, _ = grid.shape
    inner_mm, outer_mm = HOLDER_MM
    x = grid.origin_mm[0] - np.arange(columns, dtype=np.float32) * grid.spacing_mm[0]
    y = grid.origin_mm[1] - np.arange(rows, dtype=np.float32) * grid.spacing_mm[1]
    centre_y = float(-126 * pose.scale[1] + pose.shift_mm[1]) + 128
    radius = np.hypot(x[None, :], (y - centre_y)[:, None])
    behind = (y < centre_y - 70)[:, None]
    foam = np.clip((radius - inner_mm) / EDGE_MM + 0.5, 0, 1)
    foam = foam * np.clip((outer_mm - radius) / EDGE_MM + 0.5, 0, 1)
    shell = np.clip(1 - np.abs(radius - outer_mm) / 0.9, 0, 1)
    hu = AIR_HU + behind * (foam * (HOLDER_FOAM_HU - AIR_HU))
    hu += behind * shell * (HOLDER_SHELL_HU - hu)
    return np.asarray(hu, np.float32)


def shift_plane(plane: Field, shift_px: tuple[float, float]) -> Field:
    """Resample a plane [H, W] by a sub-pixel shift (rows, columns), as registration does."""
    moved = plane
    for axis, amount in enumerate(shift_px):
        moved = _shift_axis(moved, amount, axis)
    return moved


def _shift_axis(plane: Field, amount: float, axis: int) -> Field:
    whole = int(np.floor(amount))
    share = np.float32(amount - whole)
    reach = abs(whole) + 1
    pad = [(0, 0), (0, 0)]
    pad[axis] = (reach, reach)
    wide = np.moveaxis(np.pad(plane, pad, mode="edge"), axis, 0)
    start, length = reach + whole, plane.shape[axis]
    first, second = wide[start : start + length], wide[start + 1 : start + 1 + length]
    return np.asarray(np.moveaxis(first + share * (second - first), 0, axis), np.float32)


def to_stored_hu(plane: Field) -> None:
    """Round and limit HU to what an int16 CT file holds, in place."""
    np.rint(plane, out=plane)
    np.clip(plane, *HU_LIMITS, out=plane)
