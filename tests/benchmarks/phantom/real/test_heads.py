# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.patient import make_patient
from aminet_benchmarks.phantom.real.heads import open_heads
from aminet_benchmarks.phantom.vessels import FIRST_OUTSIDE_BRAIN, Segment

CONFIG = preset_config("report", shape=(112, 104, 48))
SEEDS = range(6)


@pytest.fixture(scope="module")
def anatomies(heads):
    return [heads.draw(seed, CONFIG) for seed in SEEDS]


@pytest.fixture(scope="module")
def patient(heads):
    """A patient with a clot."""
    drawn = (make_patient(seed, CONFIG, anatomy=heads.draw(seed, CONFIG)) for seed in range(20))
    return next(patient for patient in drawn if patient.labels.any())


def test_tree_and_mirror_are_drawn_from_the_seed(heads):
    origins = [heads.origin(seed) for seed in range(60)]

    assert len({origin.tree for origin in origins}) == 5
    assert 15 < sum(bool(origin.mirrored) for origin in origins) < 45
    assert [heads.origin(seed) for seed in range(60)] == origins


def test_origin_names_tree_and_content_but_no_path(heads, anatomy_folder):
    origin = heads.origin(3).as_json()

    assert set(origin) == {"kind", "tree", "mirrored", "trees", "fingerprint"}
    assert origin["kind"] == "real"
    assert str(anatomy_folder) not in str(origin)


def test_same_seed_gives_the_same_voxels(heads, patient):
    again = make_patient(patient.seed, CONFIG, anatomy=heads.draw(patient.seed, CONFIG))

    np.testing.assert_array_equal(again.slice(24).phases, patient.slice(24).phases)


def test_every_named_artery_is_there_on_both_sides(anatomies):
    pairs = set(Segment) - {Segment.ACOA, Segment.BASILAR, Segment.SINUS}
    for anatomy in anatomies:
        graph = anatomy.vessels
        for side in (1, -1):
            assert pairs <= {Segment(s) for s in graph.segment[graph.side == side]}


def test_right_vessels_lie_on_the_right_even_when_mirrored(anatomies):
    assert {anatomy.origin.mirrored for anatomy in anatomies} == {True, False}
    for anatomy in anatomies:
        graph = anatomy.vessels
        m1 = graph.segment == Segment.M1
        assert (graph.points_mm[m1 & (graph.side == 1), 0] > 0).all()
        assert (graph.points_mm[m1 & (graph.side == -1), 0] < 0).all()


def test_blood_reaches_all_arteries_and_flows_downstream(patient, heads):
    anatomy = heads.draw(patient.seed, CONFIG)
    whole = make_patient(patient.seed, CONFIG, anatomy=anatomy, twin="none")
    graph = anatomy.vessels
    arteries = graph.segment < FIRST_OUTSIDE_BRAIN

    assert np.isfinite(whole.flow.arrival_s[arteries]).all()
    links = np.isin(graph.segment[graph.edges], (Segment.ACOA, Segment.PCOA)).any(axis=1)
    upstream = graph.edges[~links, 0] > graph.edges[~links, 1]
    assert upstream.sum() <= 1, "but for the union of the vertebral arteries"


def test_arteries_of_the_brain_stay_inside_the_cavity(anatomies):
    for anatomy in anatomies:
        graph = anatomy.vessels
        inside = (graph.segment < FIRST_OUTSIDE_BRAIN) & ~np.isin(
            graph.segment, (Segment.ICA, Segment.VERTEBRAL)
        )
        depth = anatomy.cavity_depth_mm(graph.points_mm[inside])
        assert (depth > 0).mean() > 0.99
        assert depth.min() > -3


def test_every_place_of_a_clot_has_a_wide_enough_vessel(anatomies):
    for anatomy in anatomies:
        graph = anatomy.vessels
        for segment in (Segment.M1, Segment.M2_SUPERIOR, Segment.M2_INFERIOR, Segment.A1):
            assert graph.radius_mm[graph.segment == segment].max() > 0.45


def test_slice_holds_bone_brain_air_and_contrast(patient):
    hu = patient.slice(30, phases=(1,)).phases[0]

    assert (hu > 800).sum() > 50
    assert ((hu > 15) & (hu < 60)).sum() > 1000
    assert (hu < -900).sum() > 1000
    assert ((hu > 150) & (hu < 500)).any()


def test_group_is_the_tree(patient):
    assert patient.group == patient.anatomy.origin.tree
    assert make_patient(0, CONFIG).group is None


def test_twins_share_head_and_tree(patient, heads):
    anatomy = heads.draw(patient.seed, CONFIG)
    twin = make_patient(patient.seed, CONFIG, anatomy=anatomy, twin="none")

    assert twin.group == patient.group
    assert not twin.labels.any()


def test_real_folder_gives_credible_patients(real_folder):
    heads = open_heads(real_folder)
    drawn = [make_patient(seed, CONFIG, anatomy=heads.draw(seed, CONFIG)) for seed in range(5)]

    assert len(heads.trees) == 41
    assert any(patient.labels.any() for patient in drawn)
    for tree in heads.trees.values():
        for side in (1, -1):
            ours = {Segment(s) for s in tree.segment[tree.side == side]}
            assert {Segment.M2_SUPERIOR, Segment.M2_INFERIOR, Segment.A2, Segment.P2} <= ours
    for patient in drawn:
        graph = patient.anatomy.vessels
        radius = graph.radius_mm[graph.edges].mean(axis=1)
        traced = (graph.segment[graph.edges[:, 1]] < FIRST_OUTSIDE_BRAIN) & (radius >= 0.3)
        assert 4.0 < graph.edge_lengths_mm()[traced].sum() / 1000 < 10.5


def test_configuration_reaches_real_heads(heads):
    old = replace(CONFIG, age=(90.0, 90.0))

    assert heads.draw(1, old).atrophy == 1.0
