# SPDX-License-Identifier: Apache-2.0
"""A named tree as a vessel graph: evenly stepped paths, parents before their children."""

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom import courses
from aminet_benchmarks.phantom.curves import resample, spline
from aminet_benchmarks.phantom.real.naming import NamedTree
from aminet_benchmarks.phantom.vessels import NODE_STEP_MM, GraphBuilder, Segment

NECK_BLEND_MM = 25.0  # over which a usual course is bent to a traced vessel
NECK_STEP_MM = 5.0  # the usual course begins so far below the traced vessel
NECK_LENGTH_MM = 12.0  # below the usual courses, for trees that were traced down to their ends
CAROTID_NECK_MM = 2.4
VERTEBRAL_MM = 1.45
ACOA_MM = 0.7


def plot_tree(builder: GraphBuilder, named: NamedTree) -> None:
    """Plot a tree into a builder: the circle of Willis first, then all that hangs off it."""
    plotter = _TreePlotter(builder, named)
    plotter.plot_carotids()
    plotter.plot_vertebrobasilar()
    plotter.plot_circle()
    plotter.plot_branches()
    plotter.join_anterior()


class _TreePlotter:
    """Plots traced vessels and remembers which node of the graph each traced node became."""

    __slots__ = ("_builder", "_children", "_named", "_node")

    def __init__(self, builder: GraphBuilder, named: NamedTree) -> None:
        self._builder = builder
        self._named = named
        self._children = named.children()
        self._node: dict[int, int] = {}

    def plot_carotids(self) -> None:
        """Plot both carotids, with the usual course of the neck below what was traced."""
        for side, trunks in self._named.trunks.sides.items():
            neck = _neck(courses.ICA, self._named.points_mm[trunks.carotid[0]], side)
            radius = max(CAROTID_NECK_MM, float(self._named.radius_mm[trunks.carotid[0]]))
            start = self._plot_neck(neck, Segment.ICA, side, radius)
            self._plot(trunks.carotid, start)

    def plot_vertebrobasilar(self) -> None:
        """Plot the usual vertebral arteries up to the traced basilar artery, and that."""
        basilar = self._named.trunks.basilar
        junction = self._named.points_mm[basilar[0]]
        ends = []
        for side in (1, -1):
            neck = np.vstack([_neck(courses.VERTEBRAL, junction, side), junction])
            end = self._plot_neck(neck, Segment.VERTEBRAL, side, VERTEBRAL_MM)
            ends.append(end)
        self._builder.link(ends[1], ends[0])
        self._node[basilar[0]] = ends[0]
        self._plot(basilar[1:], ends[0])

    def plot_circle(self) -> None:
        """Plot P1 and the posterior communicating arteries of both sides."""
        for trunks in self._named.trunks.sides.values():
            self._plot(trunks.p1[1:], self._node[trunks.p1[0]])
            first, *between, last = trunks.communicating
            self._plot(tuple(between), self._node[first])
            end = self._node[between[-1]] if between else self._node[first]
            self._builder.link(end, self._node[last])

    def plot_branches(self) -> None:
        """Plot all that hangs off what is plotted, the most important branch of a fork first."""
        front = list(self._node)
        while front:
            node = front.pop()
            for child in self._children[node]:
                if child not in self._node:
                    path = self._run_from(child)
                    self._plot(tuple(path), self._node[node])
                    front.extend(path)

    def join_anterior(self) -> None:
        """Draw the anterior communicating artery; tracing has none, as a tree has no loops."""
        right, left = (self._node.get(node, -1) for node in self._named.acoa)
        if min(right, left) < 0:
            return
        ends = self._builder.points[[right, left]].astype(np.float64)
        path = resample(ends, step_mm=NODE_STEP_MM)
        nodes = self._builder.add(
            path[:-1] if len(path) > 2 else np.array([ends[0], ends.mean(axis=0)], np.float32),
            segment=Segment.ACOA,
            side=0,
            radius_mm=ACOA_MM,
            start=right,
        )
        self._builder.link(int(nodes[-1]), left)

    def _run_from(self, node: int) -> list[int]:
        """Follow the most important branch as long as the name stays the same."""
        segment, path = self._named.segment, [node]
        while True:
            onwards = [n for n in self._children[path[-1]] if n not in self._node]
            same = [n for n in onwards if segment[n] == segment[node]]
            if not same:
                return path
            path.append(same[0])

    def _plot_neck(
        self, control: NDArray[np.float64], segment: Segment, side: int, radius_mm: float
    ) -> int:
        path = spline(control, step_mm=NODE_STEP_MM)
        nodes = self._builder.add(path, segment=segment, side=side, radius_mm=radius_mm)
        self._builder.inlets.append(int(nodes[0]))
        return int(nodes[-1])

    def _plot(self, path: tuple[int, ...], start: int) -> None:
        """Plot a run of traced nodes that share a name, onwards from a node of the graph."""
        if not path:
            return
        named, nodes = self._named, list(path)
        traced = np.vstack([self._builder.points[start], named.points_mm[nodes]]).astype(np.float64)
        walked = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(traced, axis=0), axis=1))])
        course = resample(traced, step_mm=NODE_STEP_MM)
        stops = np.linspace(0, walked[-1], len(course))
        widths = np.concatenate([named.radius_mm[nodes[:1]], named.radius_mm[nodes]])
        plotted = self._builder.add(
            course,
            segment=Segment(int(named.segment[nodes[0]])),
            side=int(named.side[nodes[0]]),
            radius_mm=np.interp(stops[1:], walked, widths).astype(np.float32),
            start=start,
        )
        places = np.rint(walked[1:] / max(walked[-1], 1e-6) * (len(course) - 1)).astype(int)
        for node, place in zip(nodes, places.tolist(), strict=True):
            self._node[node] = int(plotted[max(place, 1)])


def _neck(usual: courses.Points, traced: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Return control points of a usual course below a traced vessel, bent towards it."""
    course = np.array(usual, np.float64) * np.array([side, 1, 1])
    course = course[np.argsort(course[:, 2])]
    course = np.vstack([course[0] - np.array([0, 0, NECK_LENGTH_MM]), course])
    below = course[course[:, 2] < float(traced[2]) - NECK_STEP_MM]
    here = [np.interp(float(traced[2]), course[:, 2], course[:, axis]) for axis in (0, 1)]
    offset = traced[:2] - np.array(here)
    share = np.exp(-(float(traced[2]) - below[:, 2:]) / NECK_BLEND_MM)
    below[:, :2] += share * offset
    return below
