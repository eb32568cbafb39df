# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_benchmarks.phantom.real.warp import draw_warp


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(-90, 90, (500, 3)).astype(np.float32)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_pushing_forward_undoes_pulling_back(points, seed, mirrored):
    warp = draw_warp(seed, mirrored=mirrored)

    back = warp.to_head_mm(warp.to_template_mm(points))

    np.testing.assert_allclose(back, points, atol=0.02)  # a hundredth of a template's voxel


def test_moves_vessels_by_more_than_their_width(points):
    """A network cannot find a known tree again by its place."""
    warps = [draw_warp(seed, mirrored=False) for seed in range(8)]
    moved = np.stack([warp.to_head_mm(points) for warp in warps])

    assert np.linalg.norm(moved.std(axis=0), axis=1).mean() > 3


def test_mirrored_warp_changes_the_sides():
    right = np.array([[40.0, 0, 0]], np.float32)

    assert draw_warp(1, mirrored=True).to_template_mm(right)[0, 0] < 0
    assert draw_warp(1, mirrored=False).to_template_mm(right)[0, 0] > 0
