# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from aminet_benchmarks.phantom.anatomy import grow_anatomy
from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.stroke import SITES, SMALLEST_RADIUS_MM, Place, draw_clots

CONFIG = preset_config("report")


@pytest.fixture(scope="module")
def graph():
    return grow_anatomy(5, CONFIG).vessels


@pytest.fixture(scope="module")
def clots(graph):
    return [
        clot
        for seed in range(150)
        for clot in draw_clots(graph, stream(seed, "stroke"), CONFIG, mirrored=False)
    ]


def test_every_place_is_drawn(clots):
    assert {clot.place for clot in clots} == set(Place)


def test_site_weights_are_probabilities():
    assert sum(site.weight for site in SITES.values()) == pytest.approx(1.0, abs=0.05)


def test_lengths_and_composition_stay_in_their_ranges(clots):
    for clot in clots:
        assert 6.0 <= clot.length_mm <= 30.0
        assert 50.0 <= clot.hu <= 80.0
        assert 0 <= clot.collateral_grade <= 5
        assert clot.value in {1, 2}


def test_both_mask_values_occur(clots):
    assert {clot.value for clot in clots} == {1, 2}


def test_a_quarter_to_two_fifths_sit_in_medium_vessels(clots):
    assert 0.22 < np.mean([clot.is_medium for clot in clots]) < 0.43


def test_clot_is_one_piece_of_vessel(graph, clots):
    neighbours: dict[int, set[int]] = {}
    for up, down in graph.edges.tolist():
        neighbours.setdefault(up, set()).add(down)
        neighbours.setdefault(down, set()).add(up)
    for clot in clots[:40]:
        nodes = set(clot.nodes.tolist())
        reached, front = set(), [int(clot.nodes[0])]
        while front:
            node = front.pop()
            reached.add(node)
            front.extend((neighbours[node] & nodes) - reached)
        assert reached == nodes


def test_clot_starts_where_its_place_says(graph, clots):
    for clot in clots:
        start = int(clot.nodes[0])
        assert graph.segment[start] == SITES[clot.place].segment
        assert graph.radius_mm[start] > 0.6 * SMALLEST_RADIUS_MM


def test_mirror_twin_has_the_same_clots_on_the_other_side(graph):
    for seed in range(20):
        ours = draw_clots(graph, stream(seed, "stroke"), CONFIG, mirrored=False)
        mirrored = draw_clots(graph, stream(seed, "stroke"), CONFIG, mirrored=True)
        if len(ours) != 1:
            continue
        first, second = ours[0], mirrored[0]
        assert (first.place, first.value) == (second.place, second.value)
        assert first.side == -second.side


def test_none_when_none_are_wanted(graph):
    config = replace(CONFIG, clot_count_weights=(1.0, 0.0, 0.0, 0.0))

    assert draw_clots(graph, stream(1, "stroke"), config, mirrored=False) == ()
