# SPDX-License-Identifier: Apache-2.0
"""Radii by Murray's law: the cube of the radius is shared out by the number of ends it feeds."""

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.vessels import GraphBuilder, Segment

MURRAY_POWER = 3.0
ROOT_RADII_MM = {  # of the vessels from which the law counts downstream
    Segment.M1: 1.45,
    Segment.A1: 1.15,
    Segment.P1: 1.1,
    Segment.CEREBELLAR: 0.75,
    Segment.PERFORATOR: 0.25,
}
THINNEST_MM = 0.18


def set_radii(builder: GraphBuilder) -> None:
    """Fill in the radii that are still 0, from the roots down."""
    parent = _parents(builder)
    ends = _count_ends(parent)
    is_root = _is_root(builder, parent)
    root = np.zeros(len(parent), np.int64)
    for node in range(len(parent)):  # parents come before their children
        if builder.radius[node] > 0:
            continue
        root[node] = node if is_root[node] else root[parent[node]]
        base_mm = ROOT_RADII_MM[Segment(builder.segment[root[node]])]
        share = ends[node] / ends[root[node]]
        builder.radius[node] = max(THINNEST_MM, base_mm * share ** (1 / MURRAY_POWER))


def _parents(builder: GraphBuilder) -> NDArray[np.int64]:
    """Return the node upstream of each, -1 at inlets; communicating arteries do not count."""
    edges = builder.edges()
    communicating = np.isin(builder.segment[edges], (Segment.ACOA, Segment.PCOA)).any(axis=1)
    is_tree = (edges[:, 1] > edges[:, 0]) & ~communicating
    parent = np.full(builder.count, -1, np.int64)
    parent[edges[is_tree, 1]] = edges[is_tree, 0]
    return parent


def _count_ends(parent: NDArray[np.int64]) -> list[int]:
    """Count the ends downstream of each node; an end counts itself."""
    above = parent.tolist()
    ends = [0] * len(above)
    for node in range(len(above) - 1, -1, -1):
        ends[node] = ends[node] or 1
        if above[node] >= 0:
            ends[above[node]] += ends[node]
    return ends


def _is_root(builder: GraphBuilder, parent: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the first node of each vessel that has a radius of its own."""
    segment = builder.segment[: builder.count]
    has_radius = np.isin(segment, [int(name) for name in ROOT_RADII_MM])
    return np.asarray(has_radius & ((parent < 0) | (segment[parent] != segment)))
