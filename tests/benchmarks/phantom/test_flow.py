# SPDX-License-Identifier: Apache-2.0
"""Flow on a tree that can be followed by hand: two stems joined by a bridge, two ends each."""

import numpy as np
import pytest

from aminet_benchmarks.phantom.bolus import Bolus, enhancement
from aminet_benchmarks.phantom.flow import BLOOD_HU, FED_SHARE, solve_flow
from aminet_benchmarks.phantom.stroke import Clot, Place
from aminet_benchmarks.phantom.vessels import GraphBuilder, Segment

BOLUS = Bolus(peak_hu=350.0, width_s=2.3, phase_s=(7.5, 15.5, 23.5))


def line(*points):
    return np.array(points, np.float32)


@pytest.fixture
def tree():
    """Return (graph, nodes by name); node order follows the flow."""
    builder = GraphBuilder()
    nodes = {}
    for side, x in ((1, 10.0), (-1, -10.0)):
        path = line((x, 0, 0), (x, 0, 10), (x, 0, 20), (x, 0, 30), (x, 0, 40))
        stem = builder.add(path, segment=Segment.M1, side=side, radius_mm=1.4)
        builder.inlets.append(int(stem[0]))
        nodes[side] = stem
        for across in (-5.0, 5.0):
            twig = line((x, 0, 40), (x, across, 50), (x, across, 60))
            nodes[side, across] = builder.add(
                twig, segment=Segment.TWIG, side=side, radius_mm=0.4, start=int(stem[-1])
            )
    bridge = line((10, 0, 20), (0, 0, 20))
    joined = builder.add(bridge, segment=Segment.ACOA, side=0, radius_mm=0.7, start=2)
    builder.link(int(joined[-1]), int(nodes[-1][2]))
    return builder.build(), nodes


def clot_at(*nodes, grade=2, hu=65.0, perviousness=0.0):
    return Clot(
        place=Place.M1,
        side=1,
        nodes=np.array(nodes, np.int32),
        length_mm=10.0,
        hu=hu,
        perviousness=perviousness,
        collateral_grade=grade,
        value=1,
    )


def solve(graph, *clots, seed=0):
    return solve_flow(graph, clots, bolus=BOLUS, rng=np.random.default_rng(seed))


def test_blood_arrives_later_further_down(tree):
    graph, nodes = tree

    arrival = solve(graph).arrival_s

    assert (np.diff(arrival[nodes[1]]) > 0).all()
    assert arrival[nodes[1, 5.0][-1]] > arrival[nodes[1][-1]]


def test_arrival_is_length_by_speed(tree):
    graph, nodes = tree

    arrival = solve(graph).arrival_s

    expected = 40 / (150 * 1.4**1.5)
    assert arrival[nodes[1][-1]] == pytest.approx(expected, abs=1e-4)


def test_behind_a_clot_without_collaterals_nothing_enhances(tree):
    graph, nodes = tree
    clot = clot_at(int(nodes[1][3]), grade=0)

    flow = solve(graph, clot)

    behind = [*nodes[1][4:], *nodes[1, 5.0], *nodes[1, -5.0]]
    np.testing.assert_allclose(flow.phase_hu[:, behind], BLOOD_HU, atol=1e-3)


def test_other_side_is_left_alone(tree):
    graph, nodes = tree
    other = [*nodes[-1], *nodes[-1, 5.0]]

    with_clot = solve(graph, clot_at(int(nodes[1][3]), grade=0)).phase_hu[:, other]

    np.testing.assert_array_equal(with_clot, solve(graph).phase_hu[:, other])


def test_circle_feeds_across_when_the_stem_is_blocked_below_it(tree):
    graph, nodes = tree
    clot = clot_at(int(nodes[1][1]), grade=0)

    flow, healthy = solve(graph, clot), solve(graph)

    end = int(nodes[1][-1])
    assert healthy.arrival_s[end] < flow.arrival_s[end] < 3.0
    assert flow.phase_hu[0, end] > 200


def test_clot_shows_its_own_hu_and_what_soaks_in(tree):
    graph, nodes = tree
    node = int(nodes[1][3])

    dry = solve(graph, clot_at(node, hu=70.0)).phase_hu[:, node]
    soaked = solve(graph, clot_at(node, hu=70.0, perviousness=0.2)).phase_hu[:, node]

    np.testing.assert_allclose(dry, 70.0)
    assert (soaked > dry + 10).all()


def test_better_collaterals_fill_more_and_earlier(tree):
    graph, nodes = tree
    end = int(nodes[1, 5.0][-1])

    flows = [solve(graph, clot_at(int(nodes[1][3]), grade=grade)) for grade in (4, 5)]

    assert FED_SHARE[5] == 1.0
    assert np.isfinite(flows[1].arrival_s[end])
    assert 2.0 < flows[1].arrival_s[end] < flows[0].arrival_s[end]
    assert flows[1].phase_hu[1, end] > 120


def test_collaterals_come_back_from_the_ends(tree):
    graph, nodes = tree

    flow = solve(graph, clot_at(int(nodes[1][2]), int(nodes[1][1]), grade=5))

    ends = flow.arrival_s[[nodes[1, 5.0][-1], nodes[1, -5.0][-1]]]
    assert flow.arrival_s[nodes[1][3]] > ends.min()


def test_bolus_peaks_once_at_its_time():
    """The plateau of recirculation sets in at the peak and moves it back by half a second."""
    time = np.linspace(0, 40, 401, dtype=np.float32)

    curve = enhancement(BOLUS, time_s=time, arrival_s=np.zeros_like(time))

    assert time[np.argmax(curve)] == pytest.approx(3 * 2.3, abs=0.6)
    assert curve.max() == pytest.approx(350, rel=0.02)
    assert (np.diff(curve[: np.argmax(curve)]) >= 0).all()
    assert curve[-1] < 0.25 * curve.max()


def test_late_blood_is_wider_and_lower():
    time = np.linspace(0, 60, 601, dtype=np.float32)

    early = enhancement(BOLUS, time_s=time, arrival_s=np.zeros_like(time))
    late = enhancement(BOLUS, time_s=time, arrival_s=np.full_like(time, 6.0))

    assert late.max() < 0.8 * early.max()
    assert time[np.argmax(late)] > time[np.argmax(early)] + 6.0


def test_blood_that_never_arrives_never_enhances():
    time = np.array([5.0, 15.0, 500.0], np.float32)

    curve = enhancement(BOLUS, time_s=time, arrival_s=np.full(3, np.inf, np.float32))

    np.testing.assert_array_equal(curve, 0)
