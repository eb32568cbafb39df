# SPDX-License-Identifier: Apache-2.0
"""Growth of the small arteries to the surface of the brain.

A greedy form of constrained constructive optimisation (Schreiner and Buxbaum 1993): targets are
scattered over the surface, and from the middle outwards each is joined to the node of the tree
that costs least in length and turning. Territories follow from competition; no map tells them.
"""

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.head import HeadShape, cavity_depth_mm, vault_ratio
from aminet_benchmarks.phantom.vessels import NODE_STEP_MM, GraphBuilder, Segment

Points = NDArray[np.float32]

TURN_COST = 0.5  # relative extra cost of a branch at a right angle to the flow
LATERAL_TARGETS = 165  # each side; total length follows from these numbers
MEDIAL_TARGETS = 60
CEREBELLAR_TARGETS = 26
CEREBELLUM_CENTRE_MM = (22.0, -64.0, -36.0)
CEREBELLUM_HALF_MM = (25.0, 24.0, 17.0)
SURFACE_DEPTH_MM = (2.0, 7.0)
GROWTH_CENTRE_MM = (0.0, 0.0, -15.0)  # the circle of Willis
NODES_PER_TWIG = 16  # on average not more
WAVE_MM = 0.9
CORTICAL_PARENTS = (
    Segment.M2_SUPERIOR,
    Segment.M2_INFERIOR,
    Segment.M3_SUPERIOR,
    Segment.M3_INFERIOR,
    Segment.A2,
    Segment.A3,
    Segment.P2,
    Segment.P3,
)


def grow_to_surface(
    builder: GraphBuilder, *, head: HeadShape, side: int, rng: np.random.Generator
) -> None:
    """Join scattered targets of one side to the tree: convexity, medial wall, cerebellum."""
    cortex = np.vstack([_lateral_targets(head, rng, side), _medial_targets(rng, side)])
    trunk = builder.nodes_of(CORTICAL_PARENTS, sides=(side,))
    Canopy(builder, trunk, centre=head.centre_mm, side=side).reach(cortex, rng)
    folia = _cerebellar_targets(rng, side)
    trunk = builder.nodes_of((Segment.CEREBELLAR,), sides=(side,))
    x, y, z = CEREBELLUM_CENTRE_MM
    Canopy(builder, trunk, centre=(x * side, y, z), side=side).reach(folia, rng)


def _lateral_targets(head: HeadShape, rng: np.random.Generator, side: int) -> Points:
    """Scatter points under the convexity of one side, evenly by solid angle."""
    direction = rng.normal(size=(LATERAL_TARGETS * 4, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction[:, 0] = side * np.abs(direction[:, 0])
    centre = np.array(head.centre_mm)
    rays = (direction * 60 + centre).astype(np.float32)
    ratio = vault_ratio(head, rays)[:, None]
    depth = rng.uniform(*SURFACE_DEPTH_MM, (len(rays), 1)) / 75
    points: Points = np.asarray(centre + direction * 60 / ratio * (1 - depth), np.float32)
    keep = (points[:, 2] > -40) & (np.abs(points[:, 0]) > 7)
    keep &= ~((points[:, 1] < -30) & (points[:, 2] < -12 - 0.25 * np.abs(points[:, 0])))
    keep &= cavity_depth_mm(head, points) > 1.5
    return spread(points[keep], LATERAL_TARGETS)


def _medial_targets(rng: np.random.Generator, side: int) -> Points:
    """Scatter points on the medial wall of one hemisphere, around the corpus callosum."""
    y = rng.uniform(-94, 64, MEDIAL_TARGETS * 5)
    z = rng.uniform(-14, 72, MEDIAL_TARGETS * 5)
    inside = ((y + 15) / 80) ** 2 + ((z - 4) / 68) ** 2 < 1
    outside = ((y + 8) / 40) ** 2 + ((z - 4) / 24) ** 2 > 1
    keep = inside & outside & ((z > 0) | (y > 30) | (y < -50))
    x = side * rng.uniform(3.0, 7.0, keep.sum())
    return spread(np.stack([x, y[keep], z[keep]], axis=1).astype(np.float32), MEDIAL_TARGETS)


def _cerebellar_targets(rng: np.random.Generator, side: int) -> Points:
    direction = rng.normal(size=(CEREBELLAR_TARGETS * 3, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = direction * np.array(CEREBELLUM_HALF_MM) + np.array(CEREBELLUM_CENTRE_MM)
    points[:, 0] *= side
    keep = np.abs(points[:, 0]) > 2
    return spread(points[keep].astype(np.float32), CEREBELLAR_TARGETS)


def spread(points: Points, count: int) -> Points:
    """Choose `count` of the points so that they keep their distance from each other."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    for _ in range(min(count, len(points)) - 1):
        chosen.append(int(np.argmax(distance)))
        np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1), out=distance)
    return points[chosen]


class Canopy:
    """The part of a tree that new twigs may leave from; every other node is enough.

    Args:
        builder: Takes the twigs.
        trunk: Nodes that twigs may leave from.
        centre: Of the shells along which twigs run, mm.
        side: 1 right, -1 left.
    """

    __slots__ = ("_ahead", "_builder", "_centre", "_filled", "_node", "_point", "_side")

    def __init__(
        self,
        builder: GraphBuilder,
        trunk: NDArray[np.intp],
        *,
        centre: tuple[float, float, float],
        side: int,
    ) -> None:
        self._builder = builder
        self._centre = np.array(centre, np.float32)
        self._side = side
        start = trunk[::2]
        self._filled = len(start)
        self._point = builder.points[start]
        self._node = start.astype(np.int32)
        self._ahead = np.zeros_like(self._point)  # direction of the flow, 0 in the trunk

    def reach(self, targets: Points, rng: np.random.Generator) -> None:
        """Grow a twig to each target, the near ones first."""
        room = len(targets) * NODES_PER_TWIG
        self._point = np.vstack([self._point, np.zeros((room, 3), np.float32)])
        self._ahead = np.vstack([self._ahead, np.zeros((room, 3), np.float32)])
        self._node = np.concatenate([self._node, np.zeros(room, np.int32)])
        middle = np.array(GROWTH_CENTRE_MM, np.float32)
        for target in targets[np.argsort(np.linalg.norm(targets - middle, axis=1))]:
            if not self._grow_twig(target, rng):
                break

    def _grow_twig(self, target: Points, rng: np.random.Generator) -> bool:
        """Grow one twig and say whether there was room for its nodes."""
        best, distance = self._cheapest(target)
        start, ahead = self._point[best].copy(), self._ahead[best].copy()
        path = _twig_path(start, target, ahead, centre=self._centre, rng=rng)
        nodes = self._builder.add(
            path, segment=Segment.TWIG, side=self._side, start=int(self._node[best])
        )
        fresh = nodes[1::2]
        end = self._filled + len(fresh)
        if end > len(self._node):
            return False
        self._point[self._filled : end] = self._builder.points[fresh]
        self._node[self._filled : end] = fresh
        self._ahead[self._filled : end] = (target - start) / max(distance, 1e-3)
        self._filled = end
        return True

    def _cheapest(self, target: Points) -> tuple[int, float]:
        offset = target - self._point[: self._filled]
        distance = np.sqrt(np.einsum("ij,ij->i", offset, offset))
        along = np.einsum("ij,ij->i", offset, self._ahead[: self._filled])
        cosine = along / np.maximum(distance, 1e-3)
        best = int(np.argmin(distance * (1 + TURN_COST * (1 - cosine))))
        return best, float(distance[best])


def _twig_path(
    start: Points, target: Points, ahead: Points, *, centre: Points, rng: np.random.Generator
) -> Points:
    """Return a winding path [N, 3] along the surface: it bends with the flow and follows a shell.

    The distance from the centre is led from that of the start to that of the target, so that a
    long twig goes around the brain and not through it.
    """
    length = float(np.linalg.norm(target - start))
    count = max(3, int(np.ceil(length / NODE_STEP_MM)) + 1)
    t = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    bend = (start + target) / 2 + ahead * (0.25 * length)
    bend = bend + rng.normal(0, 0.08 * length, 3).astype(np.float32)
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * target
    path = np.asarray(path + _ripples(t[:, 0], rng), np.float32)
    reach = np.linalg.norm(path - centre, axis=1, keepdims=True)
    first, last = np.linalg.norm(start - centre), np.linalg.norm(target - centre)
    wanted = first + t * (last - first)
    share = np.clip(length / 20, 0.2, 0.8)
    path = centre + (path - centre) * (1 + share * (wanted / np.maximum(reach, 1) - 1))
    path[0] = start
    return np.asarray(path, np.float32)


def _ripples(t: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return sideways offsets [N, 3] mm along a path, none at its start."""
    knots = max(2, len(t) // 5)
    offsets = rng.normal(0, WAVE_MM, (knots + 1, 3)).astype(np.float32)
    offsets[0] = 0
    position = t * knots
    knot = np.minimum(position.astype(np.int32), knots - 1)
    share = (position - knot)[:, None]
    return np.asarray(offsets[knot] + share * (offsets[knot + 1] - offsets[knot]), np.float64)
