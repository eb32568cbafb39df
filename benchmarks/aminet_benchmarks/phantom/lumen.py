# SPDX-License-Identifier: Apache-2.0
"""Drawing vessels into a slice: partial volume of tubes, the strongest vessel wins a pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.grid import Pose, ScanGrid
from aminet_benchmarks.phantom.vessels import VesselGraph

EDGE_MM = 0.8  # width of a vessel's edge
BLUR_MM = 0.33  # SD of the scanner's point spread, which dims thin vessels
THINNEST_MM = 0.4  # no vessel looks thinner than this radius
HALF_WINDOWS = (2, 3, 4, 6, 9, 14, 22, 40)
INDEX_BITS = 24


@dataclass(frozen=True, slots=True)
class Beads:
    """Vessels as dense beads on their centrelines, in the scanner.

    Attributes:
        position: float32 [M, 3], column, row (pixels) and slice (mm above slice 0).
        radius_mm: float32 [M].
        node: int32 [M], the node of the vessel graph that gives the bead its blood.
    """

    position: NDArray[np.float32]
    radius_mm: NDArray[np.float32]
    node: NDArray[np.int32]


def string_beads(graph: VesselGraph, *, pose: Pose, grid: ScanGrid) -> Beads:
    """Lay beads along all edges of a graph, closer together in thin vessels."""
    size = float(pose.scale.mean())
    points = pose.to_scanner(graph.points_mm)
    up, down = graph.edges.T
    length = np.linalg.norm(points[up] - points[down], axis=1)
    radius = graph.radius_mm * np.float32(size)
    spacing = np.clip(0.5 * radius[graph.edges].min(axis=1), 0.35, 1.0)
    count = np.maximum(np.ceil(length / spacing), 1).astype(np.int32)
    edge = np.repeat(np.arange(len(up)), count)
    first = np.cumsum(count) - count
    t = ((np.arange(len(edge)) - first[edge] + 0.5) / count[edge]).astype(np.float32)
    position = points[up][edge] + t[:, None] * (points[down] - points[up])[edge]
    index = grid.to_index(position)
    index[:, 2] *= grid.spacing_mm[2]
    thick = radius[up][edge] + t * (radius[down] - radius[up])[edge]
    node = np.where(t < 0.5, up[edge], down[edge]).astype(np.int32)
    height_mm = (grid.shape[2] - 1) * grid.spacing_mm[2]
    seen = (index[:, 2] > -6) & (index[:, 2] < height_mm + 6)
    return Beads(position=index[seen], radius_mm=thick[seen], node=node[seen])


def take(beads: Beads, chosen: NDArray[np.bool_]) -> Beads:
    """Return some of the beads."""
    return Beads(
        position=beads.position[chosen],
        radius_mm=beads.radius_mm[chosen],
        node=beads.node[chosen],
    )


def draw_lumen(
    beads: Beads, *, grid: ScanGrid, index: int
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Draw the vessels of one slice.

    Returns:
        Flat pixel numbers that a vessel touches, its share of each (0..1), and its node.
    """
    columns, rows, _ = grid.shape
    near = _near_slice(beads, index * grid.spacing_mm[2])
    canvas = np.zeros(rows * columns, np.int64)
    for pixels, share, bead in _windows(beads, near, grid=grid, index=index):
        key = (share * 65535).astype(np.int64) << INDEX_BITS
        np.maximum.at(canvas, pixels, key | bead)
    touched = np.flatnonzero(canvas)
    key = canvas[touched]
    share = (key >> INDEX_BITS).astype(np.float32) * np.float32(1 / 65535)
    return touched, share, beads.node[key & ((1 << INDEX_BITS) - 1)]


def draw_mask(
    beads: Beads, values: NDArray[np.uint8], *, grid: ScanGrid, index: int
) -> NDArray[np.uint8]:
    """Mark the pixels whose centre lies in a tube with the value of its bead; the higher wins."""
    columns, rows, _ = grid.shape
    near = _near_slice(beads, index * grid.spacing_mm[2])
    canvas = np.zeros(rows * columns, np.uint8)
    for pixels, _, bead in _windows(beads, near, grid=grid, index=index, only_inside=True):
        np.maximum.at(canvas, pixels, values[bead])
    return canvas.reshape(rows, columns)


def _near_slice(beads: Beads, height_mm: float) -> NDArray[np.intp]:
    reach = np.maximum(beads.radius_mm, np.float32(THINNEST_MM)) + np.float32(EDGE_MM / 2)
    return np.flatnonzero(np.abs(beads.position[:, 2] - np.float32(height_mm)) < reach)


def _windows(
    beads: Beads, near: NDArray[np.intp], *, grid: ScanGrid, index: int, only_inside=False
):
    """Yield (pixels, share, bead) of all pixels that beads cover, window size by window size."""
    pixel = np.float32(grid.spacing_mm[0])
    columns, rows, _ = grid.shape
    reach = np.maximum(beads.radius_mm[near], THINNEST_MM) + EDGE_MM / 2
    half = np.ceil(reach / pixel).astype(np.int32)
    low = 0
    for high in HALF_WINDOWS:
        group = near[(half > low) & (half <= high)]
        low = high
        if not len(group):
            continue
        ticks = np.arange(-high, high + 1)
        offset_row, offset_column = (g.ravel() for g in np.meshgrid(ticks, ticks, indexing="ij"))
        position = beads.position[group]
        column = np.rint(position[:, :1]).astype(np.int32) + offset_column
        row = np.rint(position[:, 1:2]).astype(np.int32) + offset_row
        dz = position[:, 2:] - np.float32(index * grid.spacing_mm[2])
        square = ((column - position[:, :1]) * pixel) ** 2
        square += ((row - position[:, 1:2]) * pixel) ** 2
        square += dz**2
        radius = beads.radius_mm[group][:, None]
        seen = np.maximum(radius, np.float32(THINNEST_MM))
        share = np.clip((seen - np.sqrt(square)) * np.float32(1 / EDGE_MM) + 0.5, 0, 1)
        keep = share > (0.5 if only_inside else 0)
        keep &= (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        dimming = 1 - np.exp(-(radius**2) * np.float32(0.5 / BLUR_MM**2))
        bead = np.broadcast_to(group[:, None], keep.shape)[keep]
        yield (row * columns + column)[keep], (share * dimming)[keep], bead
