# SPDX-License-Identifier: Apache-2.0
"""Names for the nodes of a traced tree: which segment, which side, and what comes after what.

Trunks come from `trunks`. What hangs off them is named by topology: the stem of the middle cerebral
artery ends at its first major fork, the two divisions are told apart by the height and depth of
what they feed, and further segments end at usual distances along the vessel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.real.rooted import ACA, MCA, PCA, Links, smoothed
from aminet_benchmarks.phantom.real.trunks import Trunks
from aminet_benchmarks.phantom.vessels import Segment

S = Segment
RADIUS_PER_METRE_MM = 1.2  # of a vessel that feeds 1 m of others; M1 with 1.7 m has 1.43 mm
MAJOR_FORK_SHARE = 0.22  # of what lies downstream, in the smaller branch of a major fork
M1_SHORTEST_MM = 11.0
M1_LONGEST_MM = 32.0
M2_REACH_MM = 24.0  # from the fork of M1
M3_REACH_MM = 75.0
A1_REACH_MM = (7.0, 26.0)  # where the anterior communicating artery may be
A2_REACH_MM = 34.0  # from there
A3_REACH_MM = 90.0
P2_REACH_MM = 32.0  # from the root of the posterior cerebral artery
P3_REACH_MM = 70.0
BEGINS_WITHIN_MM = 12.0  # the codes of an artery begin not further from its trunk
NAMED_FEEDS_MM = 14.0  # a shorter branch is a twig


@dataclass(frozen=True, slots=True)
class NamedTree:
    """A traced tree with a direction and names.

    Attributes:
        points_mm: float32 [N, 3].
        radius_mm: float32 [N].
        parent: int [N], the node upstream; -1 at inlets, and where tracing left a gap.
        segment: int8 [N], a `Segment`.
        side: int8 [N].
        trunks: Its trunks.
        acoa: Ends of the anterior communicating artery, on the right and on the left.
        downstream_mm: float64 [N], length of all that a node feeds.
    """

    points_mm: NDArray[np.float32]
    radius_mm: NDArray[np.float32]
    parent: NDArray[np.int64]
    segment: NDArray[np.int8]
    side: NDArray[np.int8]
    trunks: Trunks
    acoa: tuple[int, int]
    downstream_mm: NDArray[np.float64]

    def children(self) -> list[list[int]]:
        """Return what each node feeds, most important first."""
        below: list[list[int]] = [[] for _ in self.parent]
        for node in np.argsort(-self.downstream_mm, kind="stable").tolist():
            if self.parent[node] >= 0:
                below[self.parent[node]].append(node)
        return below


def name_tree(links: Links, trunks: Trunks) -> NamedTree:
    """Give each node of a tree its parent, segment and side."""
    points, radius = smoothed(links)
    naming = _Naming(links, trunks, points)
    naming.name_trunks()
    for side in (1, -1):
        naming.name_middle(side)
        naming.name_posterior(side)
    acoa = naming.name_anterior()
    naming.name_rest()
    return NamedTree(
        points_mm=points,
        radius_mm=np.maximum(radius, _fed_radius_mm(naming.downstream_mm)),
        parent=naming.parent,
        segment=naming.segment,
        side=naming.side,
        trunks=trunks,
        acoa=acoa,
        downstream_mm=naming.downstream_mm,
    )


def _fed_radius_mm(downstream_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the radius by Murray's law of a vessel that feeds so much.

    Radii were traced in steps of 0.31 mm, and come out too small where blood is slow: with them
    alone it would take more than 3 s to the ends. No vessel is thinner than this.
    """
    return np.asarray(RADIUS_PER_METRE_MM * np.cbrt(downstream_mm / 1000), np.float32)


class _Naming:
    """Names in the making."""

    __slots__ = (
        "_children",
        "_is_trunk",
        "_links",
        "_order",
        "_points",
        "_step_mm",
        "_trunks",
        "downstream_mm",
        "parent",
        "segment",
        "side",
    )

    def __init__(self, links: Links, trunks: Trunks, points: NDArray[np.float32]) -> None:
        count = len(points)
        self._links = links
        self._trunks = trunks
        self._points = points
        self._is_trunk = trunks.all_nodes()
        self.segment = np.full(count, S.TWIG, np.int8)
        self.side = np.zeros(count, np.int8)
        self.parent, self._order = _orient(links, trunks)
        steps = points - points[np.where(self.parent < 0, np.arange(count), self.parent)]
        self._step_mm: list[float] = np.linalg.norm(steps, axis=1).tolist()
        self._children: list[list[int]] = [[] for _ in range(count)]
        self.downstream_mm = np.zeros(count)
        for node in reversed(self._order):
            up = int(self.parent[node])
            if up >= 0:
                self._children[up].append(node)
                self.downstream_mm[up] += self.downstream_mm[node] + self._step_mm[node]

    def name_trunks(self) -> None:
        """Name carotids, basilar, P1 and posterior communicating arteries."""
        self._set(self._trunks.basilar, S.BASILAR, 0)
        for side, trunks in self._trunks.sides.items():
            self._set(trunks.communicating[1:-1], S.PCOA, side)
            self._set(trunks.p1[1:], S.P1, side)
            self._set(trunks.carotid, S.ICA, side)

    def name_middle(self, side: int) -> None:
        """Name M1, both divisions as M2, and their branches as M3."""
        terminus = self._trunks.sides[side].carotid[-1]
        stem, fork = self._stem(terminus, side)
        branches = sorted(self._branches(fork), key=lambda node: -self.downstream_mm[node])
        divisions = branches[:2]
        superior = max(divisions, key=self._height, default=-1)
        for branch in branches:
            is_superior = branch == superior or (
                branch not in divisions and self._height(branch) > 0
            )
            names = (
                (S.M2_SUPERIOR, S.M3_SUPERIOR) if is_superior else (S.M2_INFERIOR, S.M3_INFERIOR)
            )
            self._name_by_reach(branch, side, names, (M2_REACH_MM, M3_REACH_MM))
        for node in stem:
            for early in self._branches(node):
                if early not in stem and node != fork:
                    name = S.M3_SUPERIOR if self._height(early) > 0 else S.M3_INFERIOR
                    self._name_by_reach(early, side, (name,), (M3_REACH_MM,))
        self._set(stem, S.M1, side)

    def name_anterior(self) -> tuple[int, int]:
        """Name A1 to A3 of both sides and return where the communicating artery joins them."""
        mains = {side: self._main_path(self._first(side, ACA[side])) for side in (1, -1)}
        ends = self._nearest_pair(mains[1], mains[-1])
        for side, end in zip((1, -1), ends, strict=True):
            first = self._first(side, ACA[side])
            self._name_by_reach(first, side, (S.A1,), (A3_REACH_MM,))
            if first >= 0:
                a1 = mains[side][: mains[side].index(end) + 1]
                for branch in self._branches(end):
                    self._name_by_reach(branch, side, (S.A2, S.A3), (A2_REACH_MM, A3_REACH_MM))
                for node in a1[:-1]:
                    for twig in self._branches(node):
                        if twig not in a1:
                            self._name_by_reach(twig, side, (), ())
                self._set(a1, S.A1, side)
        return ends

    def name_posterior(self, side: int) -> None:
        """Name P2 and P3 of one side."""
        trunks = self._trunks.sides[side]
        for root in (*self._trunks.basilar, *trunks.p1, *trunks.communicating):
            for branch in self._branches(root):
                if self._leads_to(branch, PCA[side]):
                    self._name_by_reach(branch, side, (S.P2, S.P3), (P2_REACH_MM, P3_REACH_MM))

    def name_rest(self) -> None:
        """Give what was not named the side of its trunk; what leaves the basilar is cerebellar."""
        posterior = (S.BASILAR, S.P1, S.CEREBELLAR)
        for node in self._order:
            up = int(self.parent[node])
            if up < 0 or self.side[node] != 0 or node in self._is_trunk:
                continue
            above = self.side[up]
            self.side[node] = above or (1 if self._points[node, 0] >= 0 else -1)
            if self.segment[up] in posterior and self.segment[node] == S.TWIG:
                self.segment[node] = S.CEREBELLAR

    def _set(self, nodes: "tuple[int, ...] | list[int]", segment: Segment, side: int) -> None:
        self.segment[list(nodes)] = segment
        self.side[list(nodes)] = side

    def _branches(self, node: int) -> list[int]:
        return [child for child in self._children[node] if child not in self._is_trunk]

    def _leads_to(self, branch: int, code: int) -> bool:
        """Say whether an artery of a code begins at a branch, or soon behind it."""
        begin = self._within(self._main_path(branch), (0.0, BEGINS_WITHIN_MM))
        return any(code in self._links.codes[node] for node in (branch, *begin))

    def _first(self, side: int, code: int) -> int:
        """Return the most important branch of the terminus with a code, -1 if there is none."""
        terminus = self._trunks.sides[side].carotid[-1]
        found = [n for n in self._branches(terminus) if code in self._links.codes[n]]
        return max(found, key=lambda node: self.downstream_mm[node], default=-1)

    def _stem(self, terminus: int, side: int) -> tuple[list[int], int]:
        """Return the nodes of M1 and the last of them, its first major fork or else its largest."""
        main = self._main_path(self._first(side, MCA[side]))
        walked, largest, best_mm = 0.0, 0, 0.0
        for place, node in enumerate(main):
            walked += self._step_mm[node]
            second_mm = self._second_branch_mm(node)
            if walked > M1_LONGEST_MM and best_mm > 0:
                break
            if second_mm > best_mm:
                largest, best_mm = place, second_mm
            is_major = second_mm > MAJOR_FORK_SHARE * self.downstream_mm[node]
            if is_major and walked > M1_SHORTEST_MM:
                largest = place
                break
        stem = main[: largest + 1]
        return stem, stem[-1] if stem else terminus

    def _second_branch_mm(self, node: int) -> float:
        """Return how much the second branch of a node feeds, its own step included."""
        feeds = sorted(self.downstream_mm[n] + self._step_mm[n] for n in self._branches(node))
        return float(feeds[-2]) if len(feeds) > 1 else 0.0

    def _main_path(self, node: int) -> list[int]:
        """Follow the most important branch from a node to its end."""
        path = []
        while node >= 0:
            path.append(node)
            branches = self._branches(node)
            node = max(branches, key=lambda n: self.downstream_mm[n], default=-1)
        return path

    def _height(self, branch: int) -> float:
        """Say how far above the sylvian fissure and in front lies what a branch feeds, mm."""
        nodes = np.array(self._subtree(branch))
        y, z = self._points[nodes, 1].mean(), self._points[nodes, 2].mean()
        return float(z + 6 + 0.45 * (y - 4))

    def _subtree(self, root: int) -> list[int]:
        nodes = [root]
        for node in nodes:
            nodes.extend(self._children[node])
        return nodes

    def _nearest_pair(self, right: list[int], left: list[int]) -> tuple[int, int]:
        """Return the nodes where two anterior cerebral arteries come nearest within A1's reach."""
        ends = [self._within(path, A1_REACH_MM) for path in (right, left)]
        if not (ends[0] and ends[1]):
            termini = [self._trunks.sides[side].carotid[-1] for side in (1, -1)]
            return (right or termini)[0], (left or termini[1:])[0]
        first, second = (self._points[nodes] for nodes in ends)
        distance = np.linalg.norm(first[:, None] - second[None], axis=2)
        row, column = np.unravel_index(int(np.argmin(distance)), distance.shape)
        return ends[0][int(row)], ends[1][int(column)]

    def _within(self, path: list[int], reach_mm: tuple[float, float]) -> list[int]:
        walked, found = 0.0, []
        for node in path:
            walked += self._step_mm[node]
            if reach_mm[0] <= walked <= reach_mm[1]:
                found.append(node)
        return found

    def _name_by_reach(
        self,
        root: int,
        side: int,
        names: tuple[Segment, ...],
        reaches_mm: tuple[float, ...],
    ) -> None:
        """Name a subtree by the distance from where it leaves; the thin and the far are twigs."""
        if root < 0:
            return
        front = [(root, self._step_mm[root])]
        while front:
            node, walked = front.pop()
            feeds_mm = self.downstream_mm[node] + self._step_mm[node]
            order = int(np.searchsorted(reaches_mm, walked))
            is_named = order < len(names) and (
                feeds_mm > NAMED_FEEDS_MM or self.segment[self.parent[node]] == names[order]
            )
            self.segment[node] = names[order] if is_named else S.TWIG
            self.side[node] = side
            front.extend((n, walked + self._step_mm[n]) for n in self._branches(node))


def _orient(links: Links, trunks: Trunks) -> tuple[NDArray[np.int64], list[int]]:
    """Return the parent of each node, and the nodes with parents before their children."""
    parent = np.full(len(links.neighbours), -1, np.int64)
    order: list[int] = []
    done: set[int] = set()

    def follow(nodes: tuple[int, ...]) -> None:
        for up, node in zip((-1, *nodes[:-1]), nodes, strict=True):
            if node not in done:
                parent[node] = up
                done.add(node)
                order.append(node)

    follow(trunks.basilar)
    for side in trunks.sides.values():
        follow(side.carotid)
        follow(side.p1)
        follow(side.communicating)
    for node in order:  # grows while it is walked through
        for below in links.neighbours[node]:
            if below not in done:
                parent[below] = node
                done.add(below)
                order.append(below)
    return parent, order
