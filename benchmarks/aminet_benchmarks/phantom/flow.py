# SPDX-License-Identifier: Apache-2.0
"""Flow: when the bolus arrives in each vessel, how wide it is, and its HU in the three phases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.stroke import Clot
from aminet_benchmarks.phantom.vessels import FIRST_VENOUS, Segment, VesselGraph

BLOOD_HU = 42.0
SPEED = 150.0  # mm/s at a radius of 1 mm; grows with radius ** SPEED_POWER
SPEED_POWER = 1.5
BOLUS_SHAPE = 3.0  # alpha of the gamma-variate
RECIRCULATION = 0.18  # plateau behind the first pass, share of the peak
RECIRCULATION_S = 6.0
DISPERSION_PER_S = 0.07  # relative widening of the bolus for each second of delay
VEIN_TRANSIT_S = {Segment.SINUS: 8.2, Segment.VEIN: 7.0}  # arteriovenous, 8.2 +/- 2.3 s
VEIN_SHARE = 0.78  # peak of the veins against that of the arteries, after dispersion about 2/3
TISSUE_DELAY_S = 1.5
SCAN_S_PER_MM = 0.015  # caudocranial, so that the slices of one phase differ in time

# By collateral grade 0..5 (Menon): share of pial ends that are fed, delay and peak of the feeding
# and how far (in seconds of flow) blood comes back towards the clot.
FED_SHARE = (0.0, 0.25, 0.5, 0.8, 0.95, 1.0)
DELAY_S = (10.0, 9.0, 7.5, 5.5, 3.8, 2.2)
PEAK = (0.2, 0.3, 0.45, 0.65, 0.85, 1.0)
BACKFLOW_S = (0.0, 0.5, 1.2, 3.0, 6.0, 20.0)


@dataclass(frozen=True, slots=True)
class Bolus:
    """The contrast bolus at the inlets.

    Attributes:
        peak_hu: Enhancement at the peak.
        width_s: Scale (beta) of the gamma-variate.
        phase_s: Times of the three phases after the bolus has reached the inlets.
    """

    peak_hu: float
    width_s: float
    phase_s: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Flow:
    """What the blood does at each node.

    Attributes:
        arrival_s: float32 [N], inf where no blood comes.
        peak: float32 [N], share of the normal peak.
        phase_hu: float32 [3, N], HU of the lumen in each phase.
    """

    arrival_s: NDArray[np.float32]
    peak: NDArray[np.float32]
    phase_hu: NDArray[np.float32]


def draw_bolus(rng: np.random.Generator, config: PhantomConfig) -> Bolus:
    """Draw the bolus and the times of the phases of a patient."""
    width = float(rng.uniform(*config.bolus_width_s))
    first = BOLUS_SHAPE * width + 0.7 + float(rng.uniform(*config.timing_error_s))
    second, third = (first + delay + float(rng.normal(0, 0.3)) for delay in config.phase_delay_s)
    return Bolus(
        peak_hu=float(rng.uniform(*config.artery_peak_hu)),
        width_s=width,
        phase_s=(first, second, third),
    )


def solve_flow(
    graph: VesselGraph, clots: tuple[Clot, ...], *, bolus: Bolus, rng: np.random.Generator
) -> Flow:
    """Send the bolus through the vessels.

    Blood takes the quickest way, length / (SPEED * radius ** 1.5). The edges of a clot are gone:
    what the circle of Willis still reaches is fed through it, the rest by pial collaterals from
    the ends backwards, later and thinner by grade, or not at all.
    """
    times = graph.edge_lengths_mm() / _edge_speed(graph)
    is_clot = np.zeros(len(graph.radius_mm), bool)
    for clot in clots:
        is_clot[clot.nodes] = True
    is_open = ~is_clot[graph.edges].any(axis=1)
    arrival = _shortest(graph, times, is_open, graph.inlets, np.zeros(len(graph.inlets)))
    is_vein = graph.segment >= FIRST_VENOUS
    peak = np.ones(len(arrival), np.float32)
    lost = ~np.isfinite(arrival) & ~is_clot & ~is_vein
    _feed_by_collaterals(graph, times, is_open, lost, clots, arrival, peak, rng)
    for segment, transit_s in VEIN_TRANSIT_S.items():
        arrival[graph.segment == segment] = transit_s
    peak[is_vein] = VEIN_SHARE
    phase_hu = _lumen_hu(graph, arrival, peak, bolus)
    _fill_clots(phase_hu, clots, bolus)
    return Flow(arrival_s=arrival.astype(np.float32), peak=peak, phase_hu=phase_hu)


def enhancement(
    bolus: Bolus,
    *,
    time_s: NDArray[np.float32],
    arrival_s: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the enhancement in HU at a time, for blood that arrives with a delay.

    A gamma-variate that widens with the delay and keeps its area, and a plateau of recirculation.
    """
    delay = np.where(np.isfinite(arrival_s), arrival_s, 1e3)
    width = bolus.width_s * (1 + DISPERSION_PER_S * np.minimum(delay, 30))
    to_peak = BOLUS_SHAPE * width
    since = np.maximum(time_s - delay, 0) / to_peak
    first_pass = since**BOLUS_SHAPE * np.exp(BOLUS_SHAPE * (1 - since)) * bolus.width_s / width
    later = np.maximum(time_s - delay - to_peak, 0) / RECIRCULATION_S
    return np.asarray(
        bolus.peak_hu * (first_pass + RECIRCULATION * (1 - np.exp(-later))), np.float32
    )


def _edge_speed(graph: VesselGraph) -> NDArray[np.float32]:
    radius = graph.radius_mm[graph.edges].mean(axis=1)
    return np.asarray(SPEED * radius**SPEED_POWER, np.float32)


def _shortest(
    graph: VesselGraph,
    times: NDArray[np.float32],
    is_open: NDArray[np.bool_],
    sources: NDArray[np.int32],
    start_s: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the earliest arrival from any source, each with its own start time."""
    count = len(graph.radius_mm)
    up, down = graph.edges[is_open].T
    ground = np.full(len(sources), count)  # an extra node that feeds all sources
    rows, columns = np.concatenate([up, ground]), np.concatenate([down, sources])
    weights = np.concatenate([times[is_open], start_s]) + 1e-6  # 0 would mean no edge
    matrix = coo_matrix((weights, (rows, columns)), shape=(count + 1, count + 1)).tocsr()
    return np.asarray(dijkstra(matrix, directed=False, indices=count)[:count])


def _feed_by_collaterals(
    graph: VesselGraph,
    times: NDArray[np.float32],
    is_open: NDArray[np.bool_],
    lost: NDArray[np.bool_],
    clots: tuple[Clot, ...],
    arrival: NDArray[np.float64],
    peak: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Feed what the clots cut off, from its pial ends backwards, in place."""
    chance = rng.random(len(lost))  # one draw a node, so that twins stay comparable
    jitter = rng.exponential(0.6, len(lost))
    if not clots:
        return
    grade = min(clot.collateral_grade for clot in clots)
    degree = np.bincount(graph.edges.ravel(), minlength=len(lost))
    ends = lost & (degree == 1) & (graph.segment != Segment.PERFORATOR)
    fed = np.flatnonzero(ends & (chance < FED_SHARE[grade])).astype(np.int32)
    if not len(fed):
        return
    inside = is_open & lost[graph.edges].all(axis=1)
    start = 1.0 + DELAY_S[grade] + jitter[fed]
    late = _shortest(graph, times, inside, fed, start)
    backflow = late - 1.0 - DELAY_S[grade]
    reached = lost & np.isfinite(late) & (backflow < BACKFLOW_S[grade] + 0.6)
    arrival[reached] = late[reached]
    fading = 1 - 0.5 * np.clip(backflow / (BACKFLOW_S[grade] + 0.6), 0, 1)
    peak[reached] = PEAK[grade] * fading[reached]


def _lumen_hu(
    graph: VesselGraph, arrival: NDArray[np.float64], peak: NDArray[np.float32], bolus: Bolus
) -> NDArray[np.float32]:
    height_s = SCAN_S_PER_MM * graph.points_mm[:, 2]
    arrival_s = arrival.astype(np.float32)
    return np.stack(
        [
            BLOOD_HU + peak * enhancement(bolus, time_s=time + height_s, arrival_s=arrival_s)
            for time in bolus.phase_s
        ]
    ).astype(np.float32)


def _fill_clots(phase_hu: NDArray[np.float32], clots: tuple[Clot, ...], bolus: Bolus) -> None:
    for clot in clots:
        for phase, time in enumerate(bolus.phase_s):
            soaked = enhancement(
                bolus, time_s=np.array([time], np.float32), arrival_s=np.array([2.0], np.float32)
            )
            phase_hu[phase, clot.nodes] = clot.hu + clot.perviousness * soaked[0]
