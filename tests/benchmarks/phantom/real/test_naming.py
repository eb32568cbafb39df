# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_benchmarks.phantom.real.naming import name_tree
from aminet_benchmarks.phantom.real.register import register_circle
from aminet_benchmarks.phantom.real.rooted import link
from aminet_benchmarks.phantom.real.trunks import find_trunks
from aminet_benchmarks.phantom.vessels import Segment

S = Segment


@pytest.fixture(scope="module")
def named(tree):
    links = link(tree)
    return name_tree(links, find_trunks(links))


def near(named, point):
    return int(np.argmin(np.linalg.norm(named.points_mm - point, axis=1)))


@pytest.mark.parametrize(
    ("point", "segment"),
    [
        ((16, -10, -47), S.ICA),
        ((0, -17, -40), S.BASILAR),
        ((5, -17, -18), S.P1),
        ((11, -8, -26), S.PCOA),
        ((30, 3, -17), S.M1),
        ((39, 6, 0), S.M2_SUPERIOR),
        ((41, -14, -6), S.M2_INFERIOR),
        ((56, 9, 26), S.M3_SUPERIOR),
        ((53, -44, 12), S.M3_INFERIOR),
        ((46, 6, -33), S.M3_INFERIOR),
        ((6, 10, -14), S.A1),
        ((3, 25, -2), S.A2),
        ((4, 20, 28), S.A3),
        ((18, -30, -12), S.P2),
        ((12, -66, 0), S.P3),
        ((14, -32, -24), S.CEREBELLAR),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_names_the_segments_of_both_sides(named, point, segment, side):
    node = near(named, np.array(point) * [side, 1, 1])

    assert Segment(int(named.segment[node])) is segment
    assert named.side[node] == (0 if segment is S.BASILAR else side)


def test_blood_comes_from_three_inlets(named):
    inlets = np.flatnonzero(named.parent < 0)

    assert sorted(named.points_mm[inlets, 2].round().tolist()) == [-60, -60, -50]


def test_edges_may_be_given_in_any_direction(tree, named):
    turned = tree.edges.copy()
    turned[::2] = turned[::2, ::-1]
    links = link(type(tree)(tree.name, tree.points_mm, tree.radius_mm, turned, tree.artery))

    np.testing.assert_array_equal(name_tree(links, find_trunks(links)).segment, named.segment)


def test_a_second_way_between_two_nodes_is_left_out(tree):
    loop = np.array([[3, 60]], np.int32)
    edges = np.concatenate([tree.edges, tree.edges[:1], loop])
    codes = np.concatenate([tree.artery, np.zeros(2, np.int8)])

    links = link(type(tree)(tree.name, tree.points_mm, tree.radius_mm, edges, codes))

    assert len(links.pairs) == len(tree.points_mm) - 1


def test_circle_is_moved_as_a_whole_and_the_surface_is_not(tree):
    low = tree.points_mm + np.float32([0, 0, -10])
    links = link(type(tree)(tree.name, low, tree.radius_mm, tree.edges, tree.artery))
    trunks = find_trunks(links)

    moved = register_circle(links, trunks).tree.points_mm - low

    assert moved[trunks.basilar[-1], 2] == pytest.approx(10, abs=1.5)
    assert np.abs(moved[np.argmax(low[:, 2])]).max() < 5
