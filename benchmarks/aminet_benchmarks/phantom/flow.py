# SPDX-License-Identifier: Apache-2.0
"""Flow: when blood arrives in each vessel, by which way, and its HU in the three phases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from aminet_benchmarks.phantom.bolus import Bolus, enhancement
from aminet_benchmarks.phantom.stroke import Clot
from aminet_benchmarks.phantom.vessels import FIRST_VENOUS, Segment, VesselGraph

BLOOD_HU = 42.0
SPEED = 150.0  # mm/s at a radius of 1 mm; grows with radius ** SPEED_POWER
SPEED_POWER = 1.5
# First blood in the veins. With the dispersion that goes with it the sinuses peak about 8 s after
# the arteries (arteriovenous transit 8.2 +/- 2.3 s) at about 2/3 of their enhancement.
VEIN_TRANSIT_S = {Segment.SINUS: 5.5, Segment.VEIN: 4.6}
VEIN_SHARE = 0.92
SCAN_S_PER_MM = 0.015  # caudocranial, so that the slices of one phase differ in time
CLOT_ARRIVAL_S = 2.0  # of the blood that soaks a clot

# By collateral grade 0..5 (after Menon 2015): share of pial ends that are fed, delay and peak of
# the feeding, and how far (in seconds of flow) blood comes back towards the clot.
FED_SHARE = (0.0, 0.25, 0.5, 0.8, 0.95, 1.0)
DELAY_S = (10.0, 9.0, 7.5, 5.5, 3.8, 2.2)
PEAK = (0.2, 0.3, 0.45, 0.65, 0.85, 1.0)
BACKFLOW_S = (0.0, 0.5, 1.2, 3.0, 6.0, 20.0)
PIAL_TRANSIT_S = 1.0  # normal arrival at the ends
PIAL_SPREAD_S = 0.6  # mean of the exponential spread of the collaterals' arrival
FADING = 0.5  # share of the peak that is lost on the longest way back

SHORTEST_S = 1e-6  # a sparse matrix takes an edge of length 0 for none


@dataclass(frozen=True, slots=True)
class Flow:
    """What the blood does at each node.

    Attributes:
        bolus: The contrast that entered.
        arrival_s: float32 [N], inf where no blood comes.
        peak: float32 [N], share of the normal peak.
        phase_hu: float32 [3, N], HU of the lumen in each phase.
    """

    bolus: Bolus
    arrival_s: NDArray[np.float32]
    peak: NDArray[np.float32]
    phase_hu: NDArray[np.float32]


def solve_flow(
    graph: VesselGraph, clots: tuple[Clot, ...], *, bolus: Bolus, rng: np.random.Generator
) -> Flow:
    """Send the bolus through the vessels.

    Blood takes the quickest way, length / (SPEED * radius ** 1.5). The edges of a clot are gone:
    what the circle of Willis still reaches is fed through it, the rest by pial collaterals from
    the ends backwards, later and thinner by grade, or not at all.
    """
    network = _Network.of(graph, clots)
    arrival = network.arrival_s(graph.inlets, np.zeros(len(graph.inlets)))
    peak = np.ones(len(arrival), np.float32)
    lost = ~np.isfinite(arrival) & ~network.is_clot & ~_is_vein(graph)
    relief = _collaterals(network, lost, clots, rng)
    arrival[relief.reached] = relief.arrival_s[relief.reached]
    peak[relief.reached] = relief.peak[relief.reached]
    _drain(graph, arrival=arrival, peak=peak)
    phase_hu = _lumen_hu(graph, arrival, peak, bolus)
    _fill_clots(phase_hu, clots, bolus)
    return Flow(bolus=bolus, arrival_s=arrival.astype(np.float32), peak=peak, phase_hu=phase_hu)


@dataclass(frozen=True, slots=True)
class _Network:
    """A vessel graph with the clots' edges closed.

    Attributes:
        graph: All vessels.
        times_s: float32 [E], how long blood takes through each edge.
        is_clot: bool [N].
        is_open: bool [E].
    """

    graph: VesselGraph
    times_s: NDArray[np.float32]
    is_clot: NDArray[np.bool_]
    is_open: NDArray[np.bool_]

    @classmethod
    def of(cls, graph: VesselGraph, clots: tuple[Clot, ...]) -> "_Network":
        is_clot = np.zeros(len(graph.radius_mm), np.bool_)
        for clot in clots:
            is_clot[clot.nodes] = True
        radius = graph.radius_mm[graph.edges].mean(axis=1)
        speed = np.asarray(SPEED * radius**SPEED_POWER, np.float32)
        is_open = np.asarray(~is_clot[graph.edges].any(axis=1), np.bool_)
        return cls(graph, graph.edge_lengths_mm() / speed, is_clot, is_open)

    def within(self, nodes: NDArray[np.bool_]) -> "_Network":
        """Return the network of the open edges between some nodes."""
        inside = np.asarray(self.is_open & nodes[self.graph.edges].all(axis=1), np.bool_)
        return _Network(self.graph, self.times_s, self.is_clot, inside)

    def arrival_s(
        self, sources: NDArray[np.int32], start_s: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the earliest arrival [N] from any source, each with its own start time."""
        count = len(self.graph.radius_mm)
        up, down = self.graph.edges[self.is_open].T
        ground = np.full(len(sources), count)  # an extra node that feeds all sources
        rows, columns = np.concatenate([up, ground]), np.concatenate([down, sources])
        weights = np.concatenate([self.times_s[self.is_open], start_s]) + SHORTEST_S
        matrix = coo_matrix((weights, (rows, columns)), shape=(count + 1, count + 1)).tocsr()
        return np.asarray(dijkstra(matrix, directed=False, indices=count)[:count])


@dataclass(frozen=True, slots=True)
class _Relief:
    """Blood that collaterals bring behind the clots.

    Attributes:
        reached: bool [N], nodes that get any.
        arrival_s: [N], when it comes.
        peak: [N], share of the normal peak.
    """

    reached: NDArray[np.bool_]
    arrival_s: NDArray[np.float64]
    peak: NDArray[np.float64]


def _collaterals(
    network: _Network,
    lost: NDArray[np.bool_],
    clots: tuple[Clot, ...],
    rng: np.random.Generator,
) -> _Relief:
    """Feed what the clots cut off, from its pial ends backwards."""
    chance = rng.random(len(lost))
    spread_s = rng.exponential(PIAL_SPREAD_S, len(lost))
    grade = min((clot.collateral_grade for clot in clots), default=0)
    ends = lost & network.graph.is_end() & (network.graph.segment != Segment.PERFORATOR)
    fed = np.flatnonzero(ends & (chance < FED_SHARE[grade])).astype(np.int32)
    start_s = PIAL_TRANSIT_S + DELAY_S[grade] + spread_s[fed]
    late_s = network.within(lost).arrival_s(fed, start_s)
    backflow_s = late_s - PIAL_TRANSIT_S - DELAY_S[grade]
    longest_s = BACKFLOW_S[grade] + PIAL_SPREAD_S
    fading = 1 - FADING * np.clip(backflow_s / longest_s, 0, 1)
    reached = np.asarray(lost & np.isfinite(late_s) & (backflow_s < longest_s), np.bool_)
    return _Relief(reached=reached, arrival_s=late_s, peak=PEAK[grade] * fading)


def _drain(graph: VesselGraph, *, arrival: NDArray[np.float64], peak: NDArray[np.float32]) -> None:
    """Give the veins their late and lower bolus, in place."""
    for segment, transit_s in VEIN_TRANSIT_S.items():
        arrival[graph.segment == segment] = transit_s
    peak[_is_vein(graph)] = VEIN_SHARE


def _is_vein(graph: VesselGraph) -> NDArray[np.bool_]:
    return np.asarray(graph.segment >= FIRST_VENOUS, np.bool_)


def _lumen_hu(
    graph: VesselGraph, arrival: NDArray[np.float64], peak: NDArray[np.float32], bolus: Bolus
) -> NDArray[np.float32]:
    height_s = SCAN_S_PER_MM * graph.points_mm[:, 2]
    arrival_s = arrival.astype(np.float32)
    phases = [
        BLOOD_HU + peak * enhancement(bolus, time_s=time + height_s, arrival_s=arrival_s)
        for time in bolus.phase_s
    ]
    return np.stack(phases).astype(np.float32)


def _fill_clots(phase_hu: NDArray[np.float32], clots: tuple[Clot, ...], bolus: Bolus) -> None:
    arrival_s = np.array([CLOT_ARRIVAL_S], np.float32)
    for phase, time in enumerate(bolus.phase_s):
        time_s = np.array([time], np.float32)
        soaked_hu = enhancement(bolus, time_s=time_s, arrival_s=arrival_s)[0]
        for clot in clots:
            phase_hu[phase, clot.nodes] = clot.hu + clot.perviousness * soaked_hu
