# SPDX-License-Identifier: Apache-2.0
"""The trunks of a traced tree: carotids, basilar artery and what joins them in the circle.

A traced tree has no direction. Its inlets are ends of low position: a carotid is the nearest to the
end of the carotid from which the way passes no posterior cerebral artery, the basilar artery the
lowest of the middle.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aminet_benchmarks.phantom.real.folder import CASE, HINT, TracedTree
from aminet_benchmarks.phantom.real.rooted import ACA, MCA, PCA, Artery, Links
from aminet_runtime.errors import InputUnsupported

INLET_Z_MM = -36.0  # inlets lie below
INLET_Y_MM = (-36.0, 10.0)
CAROTID_X_MM = 4.0  # away from the middle
PCA_CODES = frozenset(PCA.values())
BASILAR_HALF_WIDTH_MM = 14.0
BASILAR_LOWEST_CASE_Z_MM = -25.0  # of trees whose basilar artery was traced from its middle


@dataclass(frozen=True, slots=True)
class SideTrunks:
    """The trunks of one side, as nodes in the direction of the flow.

    Attributes:
        carotid: From the inlet to the terminus.
        p1: From the tip of the basilar artery to the root of the posterior cerebral artery, the
            tip included; it may be the tip alone.
        communicating: From the carotid to the end of P1, both included.
    """

    carotid: tuple[int, ...]
    p1: tuple[int, ...]
    communicating: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trunks:
    """The trunks of a tree.

    Attributes:
        basilar: From the inlet to the tip.
        sides: Those of the right (1) and left (-1) side.
    """

    basilar: tuple[int, ...]
    sides: dict[int, SideTrunks]

    def all_nodes(self) -> frozenset[int]:
        """Return the nodes of all trunks."""
        parts = [self.basilar]
        for side in self.sides.values():
            parts += [side.carotid, side.p1, side.communicating]
        return frozenset(node for part in parts for node in part)


def find_trunks(links: Links) -> Trunks:
    """Find the trunks of a tree.

    Raises:
        InputUnsupported: The tree lacks a carotid, middle cerebral or basilar artery.
        InputInconsistent: A gap of the tracing parts them.
    """
    termini = {side: _terminus(links, side) for side in (1, -1)}
    ends = _inlet_candidates(links)
    carotids = {side: _carotid_inlet(links, ends, termini[side], side) for side in (1, -1)}
    basilar = _basilar_inlet(links, set(carotids.values()))
    ways = {side: links.path(basilar, carotids[side]) for side in (1, -1)}
    shared = sum(1 for right, left in zip(ways[1], ways[-1], strict=False) if right == left)
    trunk = tuple(ways[1][:shared])
    sides = {
        side: _side_trunks(links, ways[side][shared - 1 :], carotids[side], termini[side], side)
        for side in (1, -1)
    }
    return Trunks(basilar=trunk, sides=sides)


def _terminus(links: Links, side: int) -> int:
    """Return the node where the middle and the anterior cerebral artery of a side part."""
    forks = [n for n, codes in enumerate(links.codes) if {MCA[side], ACA[side]} <= codes]
    if not forks:
        raise _refusal(links.tree, "its middle and anterior cerebral arteries do not meet")
    return forks[0]


def _inlet_candidates(links: Links) -> list[int]:
    low_y, high_y = INLET_Y_MM
    return [
        node
        for node, (_, y, z) in enumerate(links.tree.points_mm.tolist())
        if len(links.neighbours[node]) == 1
        and links.codes[node] == {Artery.CIRCLE}
        and z < INLET_Z_MM
        and low_y < y < high_y
    ]


def _carotid_inlet(links: Links, ends: list[int], terminus: int, side: int) -> int:
    """Return the lateral inlet from which the terminus is nearest."""
    walked = links.distance_mm(terminus)
    lateral = [
        node
        for node in ends
        if np.isfinite(walked[node])
        and links.tree.points_mm[node, 0] * side > CAROTID_X_MM
        and not any(PCA_CODES & links.codes[passed] for passed in links.path(terminus, node))
    ]
    if not lateral:
        raise _refusal(links.tree, f"it lacks the {'right' if side == 1 else 'left'} carotid")
    return min(lateral, key=lambda node: float(walked[node]))


def _basilar_inlet(links: Links, carotids: set[int]) -> int:
    points = links.tree.points_mm
    low_y, high_y = INLET_Y_MM
    middle = [
        node
        for node in range(len(points))
        if len(links.neighbours[node]) == 1
        and links.codes[node] == {Artery.CIRCLE}
        and node not in carotids
        and abs(points[node, 0]) < BASILAR_HALF_WIDTH_MM
        and low_y < points[node, 1] < high_y
        and points[node, 2] < BASILAR_LOWEST_CASE_Z_MM
    ]
    if not middle:
        raise _refusal(links.tree, "it lacks the basilar artery")
    return min(middle, key=lambda node: float(points[node, 2]))


def _side_trunks(
    links: Links, way: list[int], carotid_inlet: int, terminus: int, side: int
) -> SideTrunks:
    """Cut the way from the basilar tip to a carotid at the posterior cerebral artery."""
    carotid = links.path(carotid_inlet, terminus)
    on_carotid = set(carotid)
    reached = next((n for n, node in enumerate(way) if node in on_carotid), len(way) - 1)
    chain = way[: reached + 1]  # from the tip to the carotid
    roots = [n for n, node in enumerate(chain) if PCA[side] in links.codes[node]]
    end_of_p1 = min(max(roots or [_beside_posterior(links, chain, side)]), len(chain) - 2)
    return SideTrunks(
        carotid=tuple(carotid),
        p1=tuple(chain[: end_of_p1 + 1]),
        communicating=tuple(chain[end_of_p1:][::-1]),
    )


def _beside_posterior(links: Links, chain: list[int], side: int) -> int:
    """Return where the way to a posterior cerebral artery that begins off the chain leaves it."""
    coded = [node for node, codes in enumerate(links.codes) if PCA[side] in codes]
    if not coded:
        return len(chain) // 2
    on_chain = set(chain)
    shared = sum(node in on_chain for node in links.path(chain[0], coded[0]))
    return max(shared - 1, 0)


def _refusal(tree: TracedTree, why: str) -> InputUnsupported:
    return InputUnsupported(
        f"is not a tree of the arteries of a brain: {why}",
        case=CASE,
        path=Path(f"{tree.name}.npz"),
        hint=HINT,
    )
