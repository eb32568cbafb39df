# SPDX-License-Identifier: Apache-2.0
"""The vessel graph: nodes, edges, radii and what each node belongs to."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Segment(IntEnum):
    """The named part of the vascular tree that a node belongs to."""

    ICA = 0
    M1 = 1
    M2_SUPERIOR = 2
    M2_INFERIOR = 3
    M3_SUPERIOR = 4
    M3_INFERIOR = 5
    A1 = 6
    A2 = 7
    A3 = 8
    ACOA = 9
    PCOA = 10
    P1 = 11
    P2 = 12
    P3 = 13
    BASILAR = 14
    VERTEBRAL = 15
    CEREBELLAR = 16
    PERFORATOR = 17
    TWIG = 18
    EXTERNAL = 19
    SINUS = 20
    VEIN = 21


NODE_STEP_MM = 1.6  # distance of the nodes along a vessel
FIRST_OUTSIDE_BRAIN = Segment.EXTERNAL
FIRST_VENOUS = Segment.SINUS


@dataclass(frozen=True, slots=True)
class VesselGraph:
    """All vessels of one head, in the head frame.

    Attributes:
        points_mm: float32 [N, 3].
        radius_mm: float32 [N].
        edges: int32 [E, 2], from upstream to downstream as grown.
        segment: int8 [N], a `Segment`.
        side: int8 [N]: 1 right, -1 left, 0 midline.
        inlets: int32 [...], nodes through which blood enters.
    """

    points_mm: NDArray[np.float32]
    radius_mm: NDArray[np.float32]
    edges: NDArray[np.int32]
    segment: NDArray[np.int8]
    side: NDArray[np.int8]
    inlets: NDArray[np.int32]

    def edge_lengths_mm(self) -> NDArray[np.float32]:
        """Return the length of each edge."""
        delta = self.points_mm[self.edges[:, 0]] - self.points_mm[self.edges[:, 1]]
        return np.asarray(np.linalg.norm(delta, axis=1), np.float32)

    def is_end(self) -> NDArray[np.bool_]:
        """Mark the nodes with a single neighbour, bool [N]; inlets are among them."""
        degree = np.bincount(self.edges.ravel(), minlength=len(self.radius_mm))
        return np.asarray(degree == 1, np.bool_)


class GraphBuilder:
    """Collects paths into a graph; a path may start at a node that is there already."""

    __slots__ = ("_edges", "count", "inlets", "points", "radius", "segment", "side")

    def __init__(self, capacity: int = 40000) -> None:
        self.points = np.zeros((capacity, 3), np.float32)
        self.radius = np.zeros(capacity, np.float32)
        self.segment = np.zeros(capacity, np.int8)
        self.side = np.zeros(capacity, np.int8)
        self._edges: list[NDArray[np.int32]] = []
        self.inlets: list[int] = []
        self.count = 0

    def add(
        self,
        path_mm: NDArray[np.float32],
        *,
        segment: Segment,
        side: int,
        radius_mm: float | NDArray[np.float32] = 0.0,
        start: int | None = None,
    ) -> NDArray[np.int32]:
        """Append a path and return its node numbers, the start node included.

        Args:
            path_mm: float32 [N, 3]; with `start`, the first point is that node and not added.
            segment: What the path is.
            side: 1 right, -1 left, 0 midline.
            radius_mm: One radius or one for each new node; 0 is filled in later.
            start: Node to which the path is joined.
        """
        new = path_mm if start is None else path_mm[1:]
        nodes = np.arange(self.count, self.count + len(new), dtype=np.int32)
        self.count += len(new)
        self.points[nodes] = new
        self.segment[nodes] = segment
        self.side[nodes] = side
        self.radius[nodes] = radius_mm
        if start is not None:
            nodes = np.concatenate([np.array([start], np.int32), nodes])
        self._edges.append(np.stack([nodes[:-1], nodes[1:]], axis=1))
        return nodes

    def link(self, upstream: int, downstream: int) -> None:
        """Join two nodes."""
        self._edges.append(np.array([[upstream, downstream]], np.int32))

    def nodes_of(
        self, segments: tuple[Segment, ...], *, sides: tuple[int, ...]
    ) -> NDArray[np.intp]:
        """Return the nodes of some segments on some sides."""
        segment, side = self.segment[: self.count], self.side[: self.count]
        return np.flatnonzero(np.isin(segment, segments) & np.isin(side, sides))

    def edges(self) -> NDArray[np.int32]:
        """Return all edges, int32 [E, 2]."""
        return np.concatenate(self._edges)

    def build(self) -> VesselGraph:
        """Return the finished graph."""
        n = self.count
        return VesselGraph(
            points_mm=self.points[:n].copy(),
            radius_mm=self.radius[:n].copy(),
            edges=self.edges(),
            segment=self.segment[:n].copy(),
            side=self.side[:n].copy(),
            inlets=np.array(self.inlets, np.int32),
        )
