# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from aminet_benchmarks.phantom.anatomy import grow_anatomy
from aminet_benchmarks.phantom.clot_figures import clot_figures, length_mm, volume_mm3
from aminet_benchmarks.phantom.figures import (
    image_figures,
    spiral_figures,
    stroke_figures,
    trunk_of,
    twin_figures,
    vessel_figures,
)
from aminet_benchmarks.phantom.masks import pure_masks
from aminet_benchmarks.phantom.validate import BOUNDS, measure, require_credible, table
from aminet_benchmarks.phantom.vessels import Segment
from aminet_runtime.errors import GateFailed


def within(figures, *names):
    outside = {
        name: value
        for name, value in figures.items()
        if name in BOUNDS and not BOUNDS[name].low <= value <= BOUNDS[name].high
    }
    return {name: value for name, value in outside.items() if name not in names}


def test_vessels_of_a_few_patients_are_within_the_bounds(draw):
    assert within(vessel_figures([draw(seed) for seed in range(4)])) == {}


def test_voxels_of_a_patient_are_within_the_bounds(patient):
    """On 2 mm pixels there is no pure table of bone and no patch of pure white matter."""
    figures = image_figures([patient])

    assert within(figures, "bone, HU") == {}
    assert {"arteries, phase 1, HU", "grey matter, HU", "CSF, HU"} <= figures.keys()


def test_masks_of_tissues_do_not_overlap(patient):
    names = ("grey matter", "white matter", "CSF", "air", "diploe")
    slices = [pure_masks(patient, index) for index in range(20, 40, 2)]

    volumes = np.array([[masks[name] for name in names] for masks in slices])

    assert volumes.sum(axis=1).max() == 1
    assert volumes.any(axis=(0, 2, 3)).tolist() == [True] * len(names)


def test_twins_change_most_in_the_first_phase(draw):
    figures = twin_figures([(draw(0), draw(0, twin="none"))])

    changes = [figures[f"change in the clot, phase {phase}, HU"] for phase in (1, 2, 3)]
    assert changes[0] > changes[1] > changes[2] > 5


def test_stroke_figures_count_regions(draw):
    patients = [draw(0), draw(0, twin="none")]

    figures = stroke_figures(patients)

    assert figures["regions with clot a patient"] == draw(0).labels.any(axis=0).sum() / 2
    assert figures["patients without clot, %"] == 50


def test_spiral_finds_less_at_higher_thresholds(draw):
    figures = spiral_figures([draw(seed) for seed in range(3)])

    recalls = [figures[f"SPIRAL > {t:g}, recall"] for t in (0.0, 0.8, 0.95)]
    assert recalls[0] >= recalls[1] >= recalls[2]
    assert recalls[0] > 0


def test_twigs_belong_to_the_vessel_that_they_come_from(patient):
    graph = patient.anatomy.vessels

    trunk = trunk_of(graph)

    assert not (trunk == Segment.TWIG).any()
    twigs = graph.segment == Segment.TWIG
    assert {Segment.M3_SUPERIOR, Segment.A3, Segment.P3} <= {Segment(t) for t in trunk[twigs]}


def test_gate_names_what_is_outside():
    figures = {name: bound.low for name, bound in BOUNDS.items()}
    require_credible(figures)

    with pytest.raises(GateFailed, match=r"1 figures of the phantom.*: CSF, HU"):
        require_credible({**figures, "CSF, HU": 40.0})
    del figures["air, HU"]
    with pytest.raises(GateFailed, match="air, HU"):
        require_credible(figures)


def test_volumes_of_the_clots_are_those_of_the_clot_files(patient):
    """Where clots touch, a voxel counts for both."""
    voxel_mm3 = np.prod(patient.grid.spacing_mm)
    voxels = sum((patient.renderer.clot(k) > 0).sum() for k in range(patient.grid.shape[2]))
    whole = [volume_mm3(patient, clot) for clot in patient.clots]

    assert len(whole) > 1
    assert max(whole) < voxels * voxel_mm3 <= sum(whole) * 1.001


def test_clots_are_as_long_as_was_drawn_at_most(draw):
    for seed in range(4):
        drawn = draw(seed)
        for clot in drawn.clots:
            assert 0 < length_mm(drawn.anatomy.vessels, clot) <= clot.length_mm


def test_clot_figures_of_nobody_with_a_clot_are_none(draw):
    assert clot_figures([draw(0, twin="none")]) == {}


def test_measures_heads_from_another_source(config):
    asked = []

    def source(seed, given):
        asked.append(seed)
        return grow_anatomy(seed, given)

    small = replace(config, matrix=(64, 64), slice_count=(16, 16))
    figures = measure(2, small, anatomy_of=source)

    assert asked == [900_000, 900_001]
    assert figures["arterial centreline, m"] > 4


def test_table_holds_a_column_for_each_kind_of_head():
    lines = table({"grown": {"CSF, HU": 8.0}, "traced": {"CSF, HU": 9.0, "extra": 1.0}})

    assert lines.splitlines()[0].split()[:3] == ["figure", "grown", "traced"]
    assert lines.splitlines()[1].split()[2:4] == ["8.00", "9.00"]
    assert "1.00" in lines.splitlines()[2]


def test_table_marks_what_is_outside():
    figures = {"CSF, HU": 40.0, "white matter, HU": 30.0}
    lines = table({"grown": figures}).splitlines()

    assert "<-- outside" in lines[1]
    assert "<-- outside" not in lines[2]
