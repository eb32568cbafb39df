# SPDX-License-Identifier: Apache-2.0
"""Drawing vessels into a slice: partial volume of tubes, the strongest vessel wins a pixel."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.grid import Pose, ScanGrid
from aminet_benchmarks.phantom.vessels import VesselGraph

EDGE_MM = 0.8  # width of a vessel's edge
BLUR_MM = 0.33  # SD of the scanner's point spread, which dims thin vessels
THINNEST_MM = 0.4  # no vessel looks thinner than this radius
BEAD_SPACING_MM = (0.35, 1.0)
HALF_WINDOWS_PX = (2, 3, 4, 6, 9, 14, 22, 40)
SHARE_STEPS = 65535
INDEX_BITS = 24
OUTSIDE_MM = 6.0  # beads further above or below the scan are never seen


@dataclass(frozen=True, slots=True)
class Beads:
    """Vessels as dense beads on their centrelines, in the scanner.

    Attributes:
        position: float32 [M, 3], column, row (pixels) and height (mm above slice 0).
        radius_mm: float32 [M].
        node: int32 [M], the node of the vessel graph that gives the bead its blood.
    """

    position: NDArray[np.float32]
    radius_mm: NDArray[np.float32]
    node: NDArray[np.int32]


def string_beads(graph: VesselGraph, *, pose: Pose, grid: ScanGrid) -> Beads:
    """Lay beads along all edges of a graph, closer together in thin vessels."""
    points = pose.to_scanner(graph.points_mm)
    radius = graph.radius_mm * np.float32(pose.scale.mean())
    edge, t = _bead_places(graph, points, radius)
    up, down = graph.edges[edge].T
    position = grid.to_index(points[up] + t[:, None] * (points[down] - points[up]))
    position[:, 2] *= grid.spacing_mm[2]
    height_mm = (grid.shape[2] - 1) * grid.spacing_mm[2]
    seen = (position[:, 2] > -OUTSIDE_MM) & (position[:, 2] < height_mm + OUTSIDE_MM)
    beads = Beads(
        position=position,
        radius_mm=radius[up] + t * (radius[down] - radius[up]),
        node=np.where(t < 0.5, up, down).astype(np.int32),
    )
    return take(beads, seen)


def _bead_places(
    graph: VesselGraph, points: NDArray[np.float32], radius: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return for each bead its edge, and its place on the edge from 0 to 1."""
    up, down = graph.edges.T
    length = np.linalg.norm(points[up] - points[down], axis=1)
    spacing = np.clip(0.5 * radius[graph.edges].min(axis=1), *BEAD_SPACING_MM)
    count = np.maximum(np.ceil(length / spacing), 1).astype(np.int32)
    edge = np.repeat(np.arange(len(up)), count)
    first = np.cumsum(count) - count
    t = (np.arange(len(edge)) - first[edge] + 0.5) / count[edge]
    return edge, t.astype(np.float32)


def take(beads: Beads, chosen: NDArray[np.bool_]) -> Beads:
    """Return some of the beads."""
    return Beads(
        position=beads.position[chosen],
        radius_mm=beads.radius_mm[chosen],
        node=beads.node[chosen],
    )


def join(first: Beads, second: Beads) -> Beads:
    """Return both; at equal share of a pixel the second wins."""
    return Beads(
        position=np.concatenate([first.position, second.position]),
        radius_mm=np.concatenate([first.radius_mm, second.radius_mm]),
        node=np.concatenate([first.node, second.node]),
    )


def draw_lumen(
    beads: Beads, *, grid: ScanGrid, index: int
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Draw the vessels of one slice.

    Returns:
        Flat pixel numbers that a vessel touches, its share of each (0..1), and its node.
    """
    columns, rows, _ = grid.shape
    canvas = np.zeros(rows * columns, np.int64)  # share above, bead below: the largest wins
    for stamp in _stamps(beads, grid=grid, index=index):
        dimming = 1 - np.exp(-(beads.radius_mm[stamp.bead] ** 2) * np.float32(0.5 / BLUR_MM**2))
        share = (stamp.share * dimming * SHARE_STEPS).astype(np.int64)
        np.maximum.at(canvas, stamp.pixel, (share << INDEX_BITS) | stamp.bead)
    touched = np.flatnonzero(canvas)
    key = canvas[touched]
    share = (key >> INDEX_BITS).astype(np.float32) * np.float32(1 / SHARE_STEPS)
    return touched, share, beads.node[key & ((1 << INDEX_BITS) - 1)]


def draw_mask(
    beads: Beads, values: NDArray[np.uint8], *, grid: ScanGrid, index: int
) -> NDArray[np.uint8]:
    """Mark the pixels whose centre lies in a tube with the value of its bead; the higher wins."""
    columns, rows, _ = grid.shape
    canvas = np.zeros(rows * columns, np.uint8)
    for stamp in _stamps(beads, grid=grid, index=index):
        inside = stamp.share > 0.5
        np.maximum.at(canvas, stamp.pixel[inside], values[stamp.bead[inside]])
    return canvas.reshape(rows, columns)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Pixels that beads cover; a pixel may come up many times.

    Attributes:
        pixel: int32 [K], flat pixel numbers.
        share: float32 [K], how much of the pixel lies in the tube.
        bead: int64 [K].
    """

    pixel: NDArray[np.int32]
    share: NDArray[np.float32]
    bead: NDArray[np.intp]


def _stamps(beads: Beads, *, grid: ScanGrid, index: int) -> Iterator[_Stamp]:
    """Yield the pixels of a slice that beads cover, beads of like size together."""
    height_mm = np.float32(index * grid.spacing_mm[2])
    reach = np.maximum(beads.radius_mm, np.float32(THINNEST_MM)) + np.float32(EDGE_MM / 2)
    near = np.flatnonzero(np.abs(beads.position[:, 2] - height_mm) < reach)
    half = np.ceil(reach[near] / np.float32(grid.spacing_mm[0])).astype(np.int32)
    low = 0
    for high in HALF_WINDOWS_PX:
        group = near[(half > low) & (half <= high)]
        if len(group):
            yield _stamp(beads, group, half_px=high, grid=grid, height_mm=height_mm)
        low = high


def _stamp(
    beads: Beads, group: NDArray[np.intp], *, half_px: int, grid: ScanGrid, height_mm: np.float32
) -> _Stamp:
    columns, rows, _ = grid.shape
    pixel_mm = np.float32(grid.spacing_mm[0])
    ticks = np.arange(-half_px, half_px + 1, dtype=np.int32)
    down, right = (offset.ravel() for offset in np.meshgrid(ticks, ticks, indexing="ij"))
    position = beads.position[group]
    column = np.rint(position[:, :1]).astype(np.int32) + right
    row = np.rint(position[:, 1:2]).astype(np.int32) + down
    square = ((column - position[:, :1]) * pixel_mm) ** 2
    square += ((row - position[:, 1:2]) * pixel_mm) ** 2
    square += (position[:, 2:] - height_mm) ** 2
    seen = np.maximum(beads.radius_mm[group][:, None], np.float32(THINNEST_MM))
    share = np.clip((seen - np.sqrt(square)) * np.float32(1 / EDGE_MM) + 0.5, 0, 1)
    keep = (share > 0) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    bead = np.broadcast_to(group[:, None], keep.shape)
    return _Stamp(
        pixel=(row * np.int32(columns) + column)[keep],
        share=share[keep].astype(np.float32),
        bead=bead[keep],
    )
