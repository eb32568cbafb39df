# SPDX-License-Identifier: Apache-2.0
"""A traced tree as a rooted one: which node blood comes from, and how much lies downstream."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from aminet_benchmarks.phantom.real.folder import CASE, HINT, TracedTree
from aminet_runtime.errors import InputInconsistent

SMALLEST_TRACED_MM = 0.31  # radius; one step of the tracing
LONGEST_JUMP_MM = 25.0  # a longer edge is a gap of the tracing, what lies behind it is left out
SMOOTHINGS = 1


class Artery(IntEnum):
    """The codes of the edges in a tree file."""

    CIRCLE = 0  # of Willis; carotids, basilar and what leaves them
    ACA_RIGHT = 2
    MCA_RIGHT = 3
    MCA_LEFT = 4
    ACA_LEFT = 5
    PCA_RIGHT = 6
    PCA_LEFT = 7


ACA = {1: Artery.ACA_RIGHT, -1: Artery.ACA_LEFT}
MCA = {1: Artery.MCA_RIGHT, -1: Artery.MCA_LEFT}
PCA = {1: Artery.PCA_RIGHT, -1: Artery.PCA_LEFT}


@dataclass(frozen=True)
class Links:
    """The undirected edges of a traced tree, without loops and gaps.

    Attributes:
        tree: The tree.
        pairs: int [M, 2], its edges.
        artery: int8 [M], their codes.
    """

    tree: TracedTree
    pairs: NDArray[np.int32]
    artery: NDArray[np.int8]

    @cached_property
    def neighbours(self) -> list[list[int]]:
        """Neighbours of each node."""
        near: list[list[int]] = [[] for _ in self.tree.radius_mm]
        for first, second in self.pairs.tolist():
            near[first].append(second)
            near[second].append(first)
        return near

    @cached_property
    def codes(self) -> list[frozenset[int]]:
        """The codes that meet in each node."""
        met: list[set[int]] = [set() for _ in self.tree.radius_mm]
        for (first, second), code in zip(self.pairs.tolist(), self.artery.tolist(), strict=True):
            met[first].add(code)
            met[second].add(code)
        return [frozenset(codes) for codes in met]

    def path(self, start: int, end: int) -> list[int]:
        """Return the nodes from start to end, both included.

        Raises:
            InputInconsistent: There is no way between them.
        """
        before = self._before(start)
        nodes = [end]
        while nodes[-1] != start:
            nodes.append(int(before[nodes[-1]]))
            if nodes[-1] < 0:
                raise InputInconsistent(
                    f"a gap of more than {LONGEST_JUMP_MM:g} mm parts its trunks",
                    case=CASE,
                    path=Path(f"{self.tree.name}.npz"),
                    hint=HINT,
                )
        return nodes[::-1]

    def distance_mm(self, start: int) -> NDArray[np.float64]:
        """Return the length of the way from a node to every other, inf where there is none."""
        order, before = breadth_first_order(self._matrix, start, directed=False)
        points = self.tree.points_mm
        steps = np.zeros(len(points))
        steps[order[1:]] = np.linalg.norm(points[order[1:]] - points[before[order[1:]]], axis=1)
        walked = np.full(len(points), np.inf)
        walked[start] = 0
        for node in order[1:].tolist():
            walked[node] = walked[before[node]] + steps[node]
        return walked

    def _before(self, start: int) -> NDArray[np.int32]:
        return np.asarray(breadth_first_order(self._matrix, start, directed=False)[1])

    @cached_property
    def _matrix(self) -> coo_matrix:
        count = len(self.tree.radius_mm)
        ones = np.ones(len(self.pairs))
        return coo_matrix((ones, self.pairs.T), shape=(count, count)).tocsr()


def link(tree: TracedTree) -> Links:
    """Check that a tree hangs together, and drop what closes loops or jumps over gaps.

    Raises:
        InputInconsistent: It is in pieces.
    """
    first, second = tree.edges.T
    length = np.linalg.norm(tree.points_mm[first] - tree.points_mm[second], axis=1)
    count = len(tree.radius_mm)
    weights = coo_matrix((length + 1e-3, (first, second)), shape=(count, count))
    spanning = minimum_spanning_tree(weights.tocsr()).tocoo()
    if spanning.nnz != count - 1:
        raise InputInconsistent(
            f"the tree is in {count - spanning.nnz} pieces",
            case=CASE,
            path=Path(f"{tree.name}.npz"),
            hint=HINT,
        )
    wanted = {
        frozenset(pair) for pair in zip(spanning.row.tolist(), spanning.col.tolist(), strict=True)
    }
    kept = []
    for edge, pair in enumerate(tree.edges.tolist()):
        if frozenset(pair) in wanted and length[edge] <= LONGEST_JUMP_MM:
            kept.append(edge)
        wanted.discard(frozenset(pair))  # a second edge between the same nodes is left out
    return Links(tree=tree, pairs=tree.edges[kept], artery=tree.artery[kept])


def smoothed(links: Links) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return points and radii without the staircase of the scan they were traced on."""
    points = links.tree.points_mm.astype(np.float64)
    radius = np.maximum(links.tree.radius_mm, SMALLEST_TRACED_MM).astype(np.float64)
    middle = np.array([n for n, near in enumerate(links.neighbours) if len(near) == 2])
    beside = np.array([links.neighbours[n] for n in middle.tolist()])
    for _ in range(SMOOTHINGS if len(middle) else 0):
        points[middle] = 0.5 * points[middle] + 0.25 * points[beside].sum(axis=1)
        radius[middle] = 0.5 * radius[middle] + 0.25 * radius[beside].sum(axis=1)
    return points.astype(np.float32), radius.astype(np.float32)
