# SPDX-License-Identifier: Apache-2.0
"""Calcified plaques of the carotid siphon, and metal clips with their streaks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.grid import Pose, ScanGrid
from aminet_benchmarks.phantom.lumen import Beads
from aminet_benchmarks.phantom.vessels import Segment, VesselGraph

Field = NDArray[np.float32]

PLAQUE_PART_OF_CAROTID = (0.5, 0.95)  # cavernous and ophthalmic part
PLAQUE_RADIUS_MM = (0.5, 1.3)
PLAQUE_HU = (450.0, 1100.0)
CLIP_SEGMENTS = (Segment.M1, Segment.A1, Segment.BASILAR)
CLIP_RADIUS_MM = 2.0
CLIP_HU = 3000.0
CLIP_DISTANCE_MM = 3.0
STREAK_HU = 350.0
STREAK_HEIGHT_MM = 1.5  # SD of their height
STREAK_LENGTH_MM = 10.0  # distance over which they halve
STREAK_RAYS = (5, 9, 13)


@dataclass(frozen=True, slots=True)
class Deposits:
    """Dense grains in the head.

    Attributes:
        points_mm: float32 [K, 3], head frame.
        radius_mm: float32 [K].
        hu: float32 [K].
        is_metal: bool [K].
    """

    points_mm: Field
    radius_mm: Field
    hu: Field
    is_metal: NDArray[np.bool_]


def draw_deposits(graph: VesselGraph, rng: np.random.Generator, config: PhantomConfig) -> Deposits:
    """Draw plaques on both carotids, and rarely a clip beside an artery."""
    plaques = [
        grain
        for side in (1, -1)
        for grain in _plaques(graph, rng, side=side, rate=config.calcification_rate)
    ]
    clips = _clips(graph, rng, rate=config.metal_rate)
    grains = np.array([*plaques, *clips], np.float32).reshape(-1, 5)
    return Deposits(
        points_mm=grains[:, :3],
        radius_mm=grains[:, 3],
        hu=grains[:, 4],
        is_metal=np.arange(len(grains)) >= len(plaques),
    )


def deposit_beads(deposits: Deposits, *, first_node: int, pose: Pose, grid: ScanGrid) -> Beads:
    """Return a bead for each grain, with node numbers that follow those of the vessels."""
    position = grid.to_index(pose.to_scanner(deposits.points_mm))
    position[:, 2] *= grid.spacing_mm[2]
    count = len(deposits.hu)
    return Beads(
        position=position,
        radius_mm=deposits.radius_mm * np.float32(pose.scale.mean()),
        node=np.arange(first_node, first_node + count, dtype=np.int32),
    )


def streaks(beads: Beads, *, grid: ScanGrid, index: int) -> Field | None:
    """Return what metal grains add to a slice [H, W] in HU, None if there is none near."""
    columns, rows, _ = grid.shape
    height = beads.position[:, 2] - index * grid.spacing_mm[2]
    strength = STREAK_HU * np.exp(-0.5 * (height / STREAK_HEIGHT_MM) ** 2)
    near = np.flatnonzero(strength > 1)
    if not len(near):
        return None
    total = np.zeros((rows, columns), np.float32)
    row, column = np.mgrid[:rows, :columns].astype(np.float32)
    for bead in near:
        dx, dy = column - beads.position[bead, 0], row - beads.position[bead, 1]
        distance_mm = np.hypot(dx, dy) * np.float32(grid.spacing_mm[0])
        angle = np.arctan2(dy, dx)
        rays = sum(np.cos(count * angle + count) for count in STREAK_RAYS)
        total += strength[bead] * rays / (1 + distance_mm / STREAK_LENGTH_MM) ** 2
    return total


def _plaques(
    graph: VesselGraph, rng: np.random.Generator, *, side: int, rate: float
) -> list[list[float]]:
    """Draw plaques on the wall of one carotid as (x, y, z, radius, HU)."""
    nodes = np.flatnonzero((graph.segment == Segment.ICA) & (graph.side == side))
    grains = []
    for _ in range(int(rng.poisson(rate))):
        share = rng.uniform(*PLAQUE_PART_OF_CAROTID)
        node = nodes[int(share * (len(nodes) - 1))]
        point = _beside(graph, int(node), float(graph.radius_mm[node]), rng)
        grains.append([*point, rng.uniform(*PLAQUE_RADIUS_MM), rng.uniform(*PLAQUE_HU)])
    return grains


def _clips(graph: VesselGraph, rng: np.random.Generator, *, rate: float) -> list[list[float]]:
    if rng.random() >= rate:
        return []
    nodes = np.flatnonzero(np.isin(graph.segment, CLIP_SEGMENTS))
    point = _beside(graph, int(rng.choice(nodes)), CLIP_DISTANCE_MM, rng)
    return [[*point, CLIP_RADIUS_MM, CLIP_HU]]


def _beside(
    graph: VesselGraph, node: int, distance_mm: float, rng: np.random.Generator
) -> list[float]:
    direction = rng.normal(size=3)
    direction *= distance_mm / np.linalg.norm(direction)
    return [float(value) for value in graph.points_mm[node] + direction]
