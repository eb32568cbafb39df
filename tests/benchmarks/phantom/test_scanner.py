# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.grid import ScanGrid, Window
from aminet_benchmarks.phantom.scanner import Scanner, shift_plane, to_stored_hu

GRID = ScanGrid(shape=(160, 140, 12), spacing_mm=(0.5, 0.5, 0.6), origin_mm=(40.0, 35.0, 0.0))
NOWHERE = Window(slice(0, 0), slice(0, 0))


@pytest.fixture
def scanner():
    return Scanner(GRID, config=preset_config("report"), seed=1)


def noise(scanner, phase=1, index=5):
    """Return noise of the strength of the middle of the brain: that of air, scaled up."""
    gain = np.zeros((0, 0), np.float32)
    return scanner.noise(phase, index, gain=gain, window=NOWHERE) / 0.6


def correlation(first, second):
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def test_noise_has_the_stated_strength(scanner):
    """22,400 correlated pixels: about 5,000 independent ones, so 5 % is five sigma."""
    values = np.stack([noise(scanner, index=z) for z in range(0, 12, 3)])

    assert values.std() == pytest.approx(scanner.sd_hu, rel=0.05)
    assert 6.0 <= scanner.sd_hu <= 10.0


def test_neighbours_correlate_as_in_real_scans(scanner):
    plane, above = noise(scanner), noise(scanner, index=6)

    assert 0.60 < correlation(plane[1:], plane[:-1]) < 0.75
    assert 0.60 < correlation(plane[:, 1:], plane[:, :-1]) < 0.75
    assert 0.50 < correlation(plane, above) < 0.75


def test_far_slices_and_phases_are_independent(scanner):
    plane = noise(scanner)

    assert abs(correlation(plane, noise(scanner, index=9))) < 0.1
    assert abs(correlation(plane, noise(scanner, phase=2))) < 0.1


def test_same_slice_has_the_same_noise_whenever_it_is_asked_for(scanner):
    other = Scanner(GRID, config=preset_config("report"), seed=1)
    noise(other, index=2)

    np.testing.assert_array_equal(noise(scanner), noise(other))


def test_patients_have_different_noise(scanner):
    other = Scanner(GRID, config=preset_config("report"), seed=2)

    assert abs(correlation(noise(scanner), noise(other))) < 0.1


def test_whole_shift_moves_pixels():
    plane = np.arange(30, dtype=np.float32).reshape(5, 6)

    moved = shift_plane(plane, (1.0, -2.0))

    np.testing.assert_array_equal(moved[:-1, 2:], plane[1:, :-2])


def test_half_shift_blends_neighbours():
    plane = np.zeros((3, 8), np.float32)
    plane[:, 4] = 10

    moved = shift_plane(plane, (0.0, 0.5))

    np.testing.assert_allclose(moved[:, 3:5], 5.0)


def test_stored_hu_are_whole_numbers_within_limits():
    plane = np.array([[-5000.0, 0.4, 1.6, 9000.0]], np.float32)

    to_stored_hu(plane)

    np.testing.assert_array_equal(plane, [[-1024, 0, 2, 3071]])
