# SPDX-License-Identifier: Apache-2.0
"""Removing or moving a clot changes what flow says, and nothing else."""

import numpy as np
import pytest

from aminet_benchmarks.phantom.vessels import FIRST_VENOUS, Segment


@pytest.fixture(scope="module")
def volumes(draw):
    return {
        twin: np.stack([s.phases for s in draw(0, twin=twin).slices(spiral=False)])
        for twin in ("self", "none")
    }


def test_clot_voxels_are_brighter_without_the_clot(draw, volumes):
    """Seed 0 has an ICA-T clot without collaterals: a vessel of over 200 HU is missing."""
    clot = np.stack([draw(0).renderer.clot(z) for z in range(48)]) > 0
    change = (volumes["none"] - volumes["self"])[:, 0][clot]

    assert clot.sum() > 10
    assert np.median(change) > 150


def test_voxels_far_from_the_lost_territory_are_equal(draw, volumes):
    """The clot is on the right: the left third of the head keeps every voxel."""
    graph = draw(0).anatomy.vessels
    flow, healthy = draw(0).flow, draw(0, twin="none").flow
    other_side = (graph.side == -1) & (graph.segment < FIRST_VENOUS)
    changed = np.abs(flow.phase_hu - healthy.phase_hu).max(axis=0) > 1

    left = volumes["self"].shape[3] * 3 // 4
    difference = np.abs(volumes["self"] - volumes["none"])[..., left:]

    assert not changed[other_side].any()
    assert (difference > 1).mean() < 1e-3


def test_noise_and_bone_are_shared(volumes):
    """Dense bone holds no blood; a few of its pixels border on the carotid's canal."""
    bone = volumes["none"][:, 0] > 1000
    difference = (volumes["self"] - volumes["none"])[:, 0][bone]

    assert (difference == 0).mean() > 0.98


def test_mirror_twin_moves_the_clot_across(draw):
    ours, mirrored = draw(0), draw(0, twin="mirror")
    graph = ours.anatomy.vessels

    assert [c.place for c in ours.clots] == [c.place for c in mirrored.clots]
    assert set(graph.side[ours.clots[0].nodes]) == {1}
    assert set(graph.side[mirrored.clots[0].nodes]) == {-1}


def test_veins_do_not_know_of_the_clot(draw):
    graph = draw(0).anatomy.vessels
    veins = graph.segment >= Segment.SINUS

    np.testing.assert_array_equal(
        draw(0).flow.phase_hu[:, veins], draw(0, twin="none").flow.phase_hu[:, veins]
    )
