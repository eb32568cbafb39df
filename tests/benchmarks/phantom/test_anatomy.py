# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_benchmarks.phantom.anatomy import grow_anatomy
from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.murray import ROOT_RADII_MM, THINNEST_MM
from aminet_benchmarks.phantom.vessels import FIRST_OUTSIDE_BRAIN, FIRST_VENOUS, Segment

BRAIN_ARTERIES = [s for s in Segment if s < FIRST_OUTSIDE_BRAIN]


@pytest.fixture(scope="module")
def anatomies():
    config = preset_config("report")
    return [grow_anatomy(seed, config) for seed in range(6)]


def test_total_length_is_that_of_real_trees(anatomies):
    """41 real trees have 5.2 to 9.4 m of vessels above a radius of 0.3 mm."""
    for anatomy in anatomies:
        graph = anatomy.vessels
        radius = graph.radius_mm[graph.edges].mean(axis=1)
        traced = (graph.segment[graph.edges[:, 1]] < FIRST_OUTSIDE_BRAIN) & (radius >= 0.3)
        assert 5.2 < graph.edge_lengths_mm()[traced].sum() / 1000 < 9.4


def test_every_named_artery_is_there_on_both_sides(anatomies):
    always = {Segment.ICA, Segment.M1, Segment.A1, Segment.P1, Segment.P2, Segment.VERTEBRAL}
    for anatomy in anatomies:
        graph = anatomy.vessels
        for side in (1, -1):
            assert always <= {Segment(s) for s in graph.segment[graph.side == side]}


def test_right_vessels_lie_on_the_right(anatomies):
    for anatomy in anatomies:
        graph = anatomy.vessels
        m1 = graph.segment == Segment.M1
        assert (graph.points_mm[m1 & (graph.side == 1), 0] > 0).all()
        assert (graph.points_mm[m1 & (graph.side == -1), 0] < 0).all()


def test_vessels_thin_out_downstream(anatomies):
    """Below a fork no branch is wider than the stem, as the cubes of the radii are shared."""
    graph = anatomies[0].vessels
    up, down = graph.edges.T
    grown = np.isin(graph.segment[down], (Segment.TWIG, Segment.M3_SUPERIOR, Segment.A3))
    grown &= down > up

    assert (graph.radius_mm[down[grown]] <= graph.radius_mm[up[grown]] + 1e-6).all()
    assert graph.radius_mm.min() >= THINNEST_MM - 1e-6
    assert graph.radius_mm[graph.segment == Segment.M1].max() <= ROOT_RADII_MM[Segment.M1] + 1e-6


def test_cubes_of_radii_are_kept_at_forks(anatomies):
    """Murray's law: r0^3 = r1^3 + r2^3, where no radius is held at the thinnest."""
    graph = anatomies[0].vessels
    children: dict[int, list[int]] = {}
    for up, down in graph.edges.tolist():
        if down > up and graph.segment[down] == Segment.TWIG:
            children.setdefault(up, []).append(down)
    forks = [(up, downs) for up, downs in children.items() if len(downs) == 2]
    forks = [(up, downs) for up, downs in forks if graph.segment[up] == Segment.TWIG]

    assert len(forks) > 50
    for up, downs in forks:
        cubes = (graph.radius_mm[downs].astype(float) ** 3).sum()
        assert cubes == pytest.approx(float(graph.radius_mm[up]) ** 3, rel=1e-4)


def test_arteries_of_the_brain_stay_within_the_skull(anatomies):
    for anatomy in anatomies:
        graph = anatomy.vessels
        named = [s for s in BRAIN_ARTERIES if s not in {Segment.ICA, Segment.VERTEBRAL}]
        inside = np.isin(graph.segment, named)
        depth = anatomy.cavity_depth_mm(graph.points_mm[inside])
        assert (depth > -1.0).mean() > 0.995


def test_all_blood_comes_from_an_inlet(anatomies):
    """Every artery is joined to an inlet; veins are fed by time and not by edges."""
    from scipy.sparse import coo_matrix  # noqa: PLC0415
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    for anatomy in anatomies:
        graph = anatomy.vessels
        count = len(graph.radius_mm)
        links = coo_matrix((np.ones(len(graph.edges)), graph.edges.T), shape=(count, count))
        _, group = connected_components(links, directed=False)
        fed = np.isin(group, group[graph.inlets])
        assert fed[graph.segment < FIRST_VENOUS].all()


def test_patients_differ_in_their_trees(anatomies):
    first, second = (a.vessels.points_mm for a in anatomies[:2])

    assert len(first) != len(second) or not np.allclose(first, second)


def test_circle_of_willis_varies():
    """Of 40 patients some lack a posterior communicating artery, and most have one."""
    config = preset_config("hard")
    present = [
        bool(((g.segment == Segment.PCOA) & (g.side == side)).any())
        for g in (grow_anatomy(seed, config).vessels for seed in range(20))
        for side in (1, -1)
    ]

    assert 0.5 < np.mean(present) < 1.0
