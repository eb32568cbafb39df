# SPDX-License-Identifier: Apache-2.0
"""Clots: where they sit, how far they reach, and what they are made of."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.vessels import Segment, VesselGraph

SMALLEST_RADIUS_MM = 0.45  # of the vessel where a clot starts
THINNEST_REACHED_MM = 0.36
FEWEST_NODES = 3  # a clot that lies within another one is dropped
FIRST_IS_ONE = 0.8  # chance that the first clot has value 1 and the others 2
MEDIUM_LENGTH = 0.7  # of clots in medium vessels against those in large ones
BRANCH_CHANCE = 0.85  # that a clot reaches into the smaller branch of a fork, too


class Place(StrEnum):
    """Where a clot starts."""

    ICA = "ICA"
    ICA_T = "ICA-T"
    M1 = "M1"
    M2_SUPERIOR = "M2 superior"
    M2_INFERIOR = "M2 inferior"
    M3_SUPERIOR = "M3 superior"
    M3_INFERIOR = "M3 inferior"
    A1 = "A1"
    A2 = "A2"
    A3 = "A3"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    BASILAR = "basilar"
    VERTEBRAL = "vertebral"
    CEREBELLAR = "cerebellar"


@dataclass(frozen=True, slots=True)
class _Site:
    segment: Segment
    start: tuple[float, float]  # share of the segment's nodes, from upstream
    weight: float
    is_medium: bool


# The weights hit the 15 regions about equally; they are not the frequencies of a clinic.
SITES = {
    Place.ICA: _Site(Segment.ICA, (0.30, 0.72), 0.095, is_medium=False),
    Place.ICA_T: _Site(Segment.ICA, (0.86, 0.97), 0.09, is_medium=False),
    Place.M1: _Site(Segment.M1, (0.0, 0.6), 0.1, is_medium=False),
    Place.M2_SUPERIOR: _Site(Segment.M2_SUPERIOR, (0.0, 0.6), 0.12, is_medium=False),
    Place.M2_INFERIOR: _Site(Segment.M2_INFERIOR, (0.0, 0.6), 0.065, is_medium=False),
    Place.M3_SUPERIOR: _Site(Segment.M3_SUPERIOR, (0.0, 0.5), 0.1, is_medium=True),
    Place.M3_INFERIOR: _Site(Segment.M3_INFERIOR, (0.0, 0.5), 0.04, is_medium=True),
    Place.A1: _Site(Segment.A1, (0.2, 0.9), 0.035, is_medium=True),
    Place.A2: _Site(Segment.A2, (0.0, 0.7), 0.04, is_medium=True),
    Place.A3: _Site(Segment.A3, (0.0, 0.5), 0.035, is_medium=True),
    Place.P1: _Site(Segment.P1, (0.0, 0.6), 0.05, is_medium=False),
    Place.P2: _Site(Segment.P2, (0.0, 0.5), 0.03, is_medium=True),
    Place.P3: _Site(Segment.P3, (0.0, 0.5), 0.03, is_medium=True),
    Place.BASILAR: _Site(Segment.BASILAR, (0.1, 0.8), 0.055, is_medium=False),
    Place.VERTEBRAL: _Site(Segment.VERTEBRAL, (0.55, 0.9), 0.045, is_medium=False),
    Place.CEREBELLAR: _Site(Segment.CEREBELLAR, (0.0, 0.5), 0.035, is_medium=True),
}


@dataclass(frozen=True, slots=True)
class Clot:
    """One clot.

    Attributes:
        place: Where it starts.
        side: 1 right, -1 left, 0 midline.
        nodes: int32, nodes of the vessel graph that it fills.
        length_mm: Length along its main vessel.
        hu: HU before contrast.
        perviousness: Share of the blood's enhancement that enters it.
        collateral_grade: 0 none to 5 excellent.
        value: Value in the clot file, 1 or 2.
    """

    place: Place
    side: int
    nodes: NDArray[np.int32]
    length_mm: float
    hu: float
    perviousness: float
    collateral_grade: int
    value: int

    @property
    def is_medium(self) -> bool:
        """Say whether the clot starts in a medium vessel."""
        return SITES[self.place].is_medium


def draw_clots(
    graph: VesselGraph, rng: np.random.Generator, config: PhantomConfig, *, mirrored: bool
) -> tuple[Clot, ...]:
    """Draw the clots of a patient.

    Args:
        graph: Vessels of the head.
        rng: Source of randomness; the same state gives the same clots on either side.
        config: Numbers, lengths and composition.
        mirrored: Put each clot into the same vessel of the other side.
    """
    count = _choice(rng, config.clot_count_weights)
    grade = _choice(rng, config.collateral_weights)
    first_value = 1 if rng.random() < FIRST_IS_ONE else 2
    maker = _ClotMaker(graph, config, flip=-1 if mirrored else 1)
    taken: NDArray[np.int32] = np.zeros(0, np.int32)
    clots = []
    for number in range(count):
        draw = np.random.default_rng(rng.integers(2**63))
        clot = maker.draw(draw, grade=grade, value=first_value if number == 0 else 3 - first_value)
        if len(np.setdiff1d(clot.nodes, taken)) >= FEWEST_NODES:
            taken = np.union1d(taken, clot.nodes).astype(np.int32)
            clots.append(clot)
    return tuple(clots)


def _choice(rng: np.random.Generator, weights: tuple[float, ...]) -> int:
    share = np.array(weights) / sum(weights)
    return int(rng.choice(len(weights), p=share))


class _ClotMaker:
    """Draws clots into one vessel graph."""

    __slots__ = ("_children", "_config", "_flip", "_graph")

    def __init__(self, graph: VesselGraph, config: PhantomConfig, *, flip: int) -> None:
        self._graph = graph
        self._config = config
        self._flip = flip
        self._children = _children(graph)

    def draw(self, rng: np.random.Generator, *, grade: int, value: int) -> Clot:
        """Draw one clot: place, side, length, reach and composition."""
        config = self._config
        place = list(SITES)[_choice(rng, tuple(site.weight for site in SITES.values()))]
        side = int(rng.choice([1, -1])) * self._flip
        length_mm = float(rng.uniform(*config.clot_length_mm))
        if SITES[place].is_medium:
            length_mm = max(config.clot_length_mm[0], MEDIUM_LENGTH * length_mm)
        start = self._start(SITES[place], side, rng)
        return Clot(
            place=place,
            side=0 if place is Place.BASILAR else side,
            nodes=self._reach(start, length_mm, rng),
            length_mm=length_mm,
            hu=float(rng.uniform(*config.clot_hu)),
            perviousness=float(rng.uniform(*config.perviousness)),
            collateral_grade=int(np.clip(grade + rng.integers(-1, 2), 0, 5)),
            value=value,
        )

    def _start(self, site: _Site, side: int, rng: np.random.Generator) -> int:
        """Pick a node within the stated share of a vessel, where it is wide enough."""
        graph = self._graph
        on_site = (graph.segment == site.segment) & np.isin(graph.side, (side, 0))
        nodes = np.flatnonzero(on_site & (graph.radius_mm >= SMALLEST_RADIUS_MM))
        if not len(nodes):
            nodes = np.flatnonzero(on_site)
        vessels = np.split(nodes, np.flatnonzero(np.diff(nodes) > 1) + 1)
        vessel = vessels[int(rng.integers(len(vessels)))]
        share = rng.uniform(*site.start)
        return int(vessel[min(int(share * len(vessel)), len(vessel) - 1)])

    def _reach(self, start: int, length_mm: float, rng: np.random.Generator) -> NDArray[np.int32]:
        """Follow the vessels downstream from a node; at a fork the wider branch, maybe both."""
        points, radius = self._graph.points_mm, self._graph.radius_mm
        nodes, front = [start], [(start, 0.0)]
        while front:
            node, walked = front.pop()
            branches = sorted(self._children[node], key=lambda down: -radius[down])
            for rank, down in enumerate(branches):
                end = walked + float(np.linalg.norm(points[down] - points[node]))
                is_open = rank == 0 or rng.random() < BRANCH_CHANCE
                if is_open and end <= length_mm and radius[down] >= THINNEST_REACHED_MM:
                    nodes.append(down)
                    front.append((down, end))
        return np.array(sorted(nodes), np.int32)


def _children(graph: VesselGraph) -> list[list[int]]:
    """Return the downstream neighbours of each node, without the communicating arteries."""
    children: list[list[int]] = [[] for _ in graph.radius_mm]
    communicating = np.isin(graph.segment[graph.edges], (Segment.ACOA, Segment.PCOA)).any(axis=1)
    downstream = graph.edges[:, 1] > graph.edges[:, 0]
    for up, down in graph.edges[downstream & ~communicating].tolist():
        children[up].append(down)
    return children
