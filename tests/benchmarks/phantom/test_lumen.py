# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_benchmarks.phantom.grid import Pose, ScanGrid
from aminet_benchmarks.phantom.lumen import draw_lumen, draw_mask, string_beads
from aminet_benchmarks.phantom.vessels import GraphBuilder, Segment

GRID = ScanGrid(shape=(64, 64, 20), spacing_mm=(0.5, 0.5, 0.5), origin_mm=(16.0, 16.0, -5.0))
POSE = Pose(np.eye(3, dtype=np.float32), np.ones(3, np.float32), np.zeros(3, np.float32))


def tube(radius_mm, *, x=0.0):
    """Return the beads of an upright tube."""
    builder = GraphBuilder()
    path = np.array([[x, 0, z] for z in range(-12, 13, 2)], np.float32)
    builder.add(path, segment=Segment.M1, side=1, radius_mm=radius_mm)
    return string_beads(builder.build(), pose=POSE, grid=GRID)


def drawn(beads, index=10):
    pixels, share, _ = draw_lumen(beads, grid=GRID, index=index)
    plane = np.zeros(64 * 64)
    plane[pixels] = share
    return plane.reshape(64, 64)


@pytest.mark.parametrize("radius_mm", [1.0, 1.5, 2.5])
def test_area_of_a_tube_is_right(radius_mm):
    """Edges are 0.8 mm wide, which adds a little area to small tubes."""
    area_mm2 = drawn(tube(radius_mm)).sum() * 0.25

    assert area_mm2 == pytest.approx(np.pi * radius_mm**2, rel=0.12)


def test_thin_vessels_are_dimmed_by_partial_volume():
    peaks = [drawn(tube(radius)).max() for radius in (0.15, 0.3, 0.6, 1.2)]

    assert 0.05 < peaks[0] < 0.2
    assert peaks[0] < peaks[1] < peaks[2] < peaks[3]
    assert peaks[3] > 0.97


def test_tube_is_centred_where_it_runs():
    plane = drawn(tube(1.5, x=3.0))
    row, column = np.mgrid[:64, :64]

    assert (plane * column).sum() / plane.sum() == pytest.approx((16 - 3) / 0.5, abs=0.05)
    assert (plane * row).sum() / plane.sum() == pytest.approx(16 / 0.5, abs=0.05)


def test_mask_is_the_inside_of_the_tube():
    beads = tube(1.5)

    mask = draw_mask(beads, np.full(len(beads.node), 2, np.uint8), grid=GRID, index=10)

    assert set(np.unique(mask)) == {0, 2}
    assert (mask > 0).sum() * 0.25 == pytest.approx(np.pi * 1.5**2, rel=0.15)
    assert (drawn(beads)[mask > 0] > 0.45).all()


def test_strongest_vessel_wins_a_pixel():
    builder = GraphBuilder()
    for x, radius in ((0.0, 2.0), (2.0, 0.5)):
        path = np.array([[x, 0, z] for z in range(-6, 7, 2)], np.float32)
        builder.add(path, segment=Segment.M1, side=1, radius_mm=radius)
    beads = string_beads(builder.build(), pose=POSE, grid=GRID)

    pixels, _, node = draw_lumen(beads, grid=GRID, index=10)

    middle = 32 * 64 + 32
    assert node[np.flatnonzero(pixels == middle)[0]] < 7


def test_nothing_is_drawn_beyond_the_border():
    pixels, share, _ = draw_lumen(tube(2.0, x=15.9), grid=GRID, index=10)

    assert len(pixels) > 0
    assert (pixels % 64 < 8).all()
    assert share.max() <= 1.0
