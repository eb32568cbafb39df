# SPDX-License-Identifier: Apache-2.0
"""Tissue fills unevenly by itself, loses blood behind a clot, and the scalp does neither."""

from dataclasses import replace

import numpy as np
import pytest

from aminet_benchmarks.phantom.bolus import Bolus
from aminet_benchmarks.phantom.feeding import normal_enhancement
from aminet_benchmarks.phantom.lumen import draw_lumen
from aminet_benchmarks.phantom.patient import make_patient
from aminet_benchmarks.phantom.perfusion import BRAIN_DEPTH_MM, Plane
from aminet_benchmarks.phantom.tissue import Layer
from aminet_benchmarks.phantom.unevenness import LUXURY, Unevenness

BOLUS = Bolus(peak_hu=380, width_s=2.3, phase_s=(7.6, 15.6, 23.6))
PHASES = [Plane.PHASE_1, Plane.PHASE_2, Plane.PHASE_3]
OUTSIDE_MM = -3.0  # beyond the inner table, partial volume and shifts of the phases


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).uniform(-70, 70, (4000, 3)).astype(np.float32)


def brain_of(patient):
    points = patient.renderer.model.perfusion.grid.head_points_mm()
    return patient.anatomy.cavity_depth_mm(points) > BRAIN_DEPTH_MM


def test_no_unevenness_fills_evenly(points):
    delay_s, factor = Unevenness(1, BOLUS, amount=0).filling(points)

    assert not delay_s.any()
    np.testing.assert_array_equal(factor, 1)


def test_unevenness_is_smooth_and_not_mirrored(points):
    uneven = Unevenness(1, BOLUS, amount=1)
    here, _ = uneven.filling(points)
    near, _ = uneven.filling(points + np.float32(2))
    across, _ = uneven.filling(points * np.array([-1, 1, 1], np.float32))

    assert np.corrcoef(here, near)[0, 1] > 0.9
    assert abs(np.corrcoef(here, across)[0, 1]) < 0.7


def test_losses_are_larger_than_luxury(points):
    factors = [Unevenness(seed, BOLUS, amount=1).filling(points)[1] for seed in range(5)]

    assert np.max(factors) <= 1 + LUXURY
    assert 0 < np.min(factors) < 1 - LUXURY


def test_twin_is_as_uneven(draw):
    """Where the clot takes no blood, the fields of patient and twin are the same."""
    ours = draw(0).renderer.model.perfusion.fields
    other = draw(0, twin="none").renderer.model.perfusion.fields
    same = (ours[PHASES] == other[PHASES]).all(axis=0)

    assert 0.2 < same[brain_of(draw(0))].mean() < 1
    np.testing.assert_array_equal(ours[Plane.SHADING][same], other[Plane.SHADING][same])


def test_behind_a_clot_some_blood_is_left(draw):
    """Seed 0 has no collaterals; what is too small to be drawn brings some, late."""
    brain = brain_of(draw(0))
    ours = draw(0).renderer.model.perfusion.fields[PHASES][:, brain]
    healthy = draw(0, twin="none").renderer.model.perfusion.fields[PHASES][:, brain]
    share = np.quantile(ours / healthy, 0.02, axis=1)

    assert share[0] < 0.1 < share[1] < share[2]


def test_map_is_computed_from_what_the_voxels_show(config):
    """Even filling and no clot leave the map nothing but the difference of the sides."""
    even = make_patient(0, replace(config, unevenness=0), twin="none")
    uneven = make_patient(0, config, twin="none", anatomy=even.anatomy)
    brain = brain_of(even)

    marked = [
        (patient.renderer.model.perfusion.fields[Plane.SPIRAL_LOGIT][brain] > 1).mean()
        for patient in (even, uneven)
    ]

    assert marked[0] < 0.5 * marked[1]


def test_scalp_knows_nothing_of_the_stroke(draw):
    """Only vessels may differ outside of the brain; phase 1, as the others are shifted."""
    patient, twin = draw(0), draw(0, twin="none")
    compared = 0
    for index in range(10, 40, 3):
        layers = patient.renderer.layers(index)
        outside = np.ones(patient.grid.shape[1::-1], bool)
        depth = np.minimum(layers.fields[Layer.VAULT], layers.fields[Layer.BASE])
        outside[layers.window.rows, layers.window.columns] = depth < OUTSIDE_MM
        vessels = draw_lumen(patient.renderer.model.beads, grid=patient.grid, index=index)[0]
        outside.reshape(-1)[vessels] = False
        ours, other = (p.slice(index, phases=(1,), spiral=False).phases[0] for p in (patient, twin))
        np.testing.assert_array_equal(ours[outside], other[outside])
        compared += int(outside.sum())

    assert compared > 10_000


def test_normal_enhancement_falls_from_phase_2_to_3():
    first, second, third = normal_enhancement(BOLUS, heights_mm=np.zeros(1, np.float32))[:, 0]

    assert second > first > third > 0
