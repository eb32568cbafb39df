# SPDX-License-Identifier: Apache-2.0
"""Perfusion: what blood reaches the tissue in each phase, and what that does to it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aminet_benchmarks.phantom.anatomy import Anatomy
from aminet_benchmarks.phantom.bolus import enhancement
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.flow import SCAN_S_PER_MM, Flow
from aminet_benchmarks.phantom.grid import ModelGrid
from aminet_benchmarks.phantom.head import ellipsoid_mm
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.scanner import beam_hardening_hu, noise_gain
from aminet_benchmarks.phantom.spiral_map import Filling, spiral_logit
from aminet_benchmarks.phantom.vessels import FIRST_OUTSIDE_BRAIN, VesselGraph

Field = NDArray[np.float32]

NEIGHBOURS = 4  # ends of arteries that feed a point of tissue
NEAR_MM = 4.0  # ends within this distance feed about equally
TISSUE_DELAY_S = 1.5  # from the pial ends into the capillaries: a part of the MTT of 4 s
SLOWING = 1.15  # of a delay, from the pial ends into the capillaries
NORMAL_ARRIVAL_S = 2.0
RESIDUAL = 0.04  # share of the normal enhancement where no blood comes
BRAIN_DEPTH_MM = 1.0
CORE_HU = -4.0  # early oedema where next to no blood comes
CORE_SHARE = 0.25  # of the normal enhancement, below which the core begins
OLD_INFARCT_HU = -16.0
OLD_INFARCT_LOSS = 0.7  # of the blood
SOFT_EDGE_MM = 6.0


class Plane(IntEnum):
    """The fields of a `PerfusionModel`."""

    PHASE_1 = 0
    PHASE_2 = 1
    PHASE_3 = 2
    SHADING = 3
    NOISE_GAIN = 4
    SPIRAL_LOGIT = 5


@dataclass(frozen=True, slots=True)
class PerfusionModel:
    """Tissue perfusion and slow scanner effects on a coarse grid.

    Attributes:
        grid: The coarse grid.
        fields: float32 [len(Plane), Zc, Hc, Wc]: enhancement of the blood in the tissue in HU
            for the three phases, additive HU, gain of the noise, logit of the SPIRAL-like map.
    """

    grid: ModelGrid
    fields: Field


def build_perfusion(
    grid: ModelGrid, *, anatomy: Anatomy, flow: Flow, config: PhantomConfig, seed: int
) -> PerfusionModel:
    """Feed the tissue from the nearest ends of arteries."""
    points = grid.head_points_mm()
    across = points * np.array([-1, 1, 1], np.float32)
    enhanced = _tissue_enhancement(points, anatomy.vessels, flow)
    mirrored = _tissue_enhancement(across, anatomy.vessels, flow)
    brain = np.asarray(anatomy.cavity_depth_mm(points) > BRAIN_DEPTH_MM, np.bool_)
    infarct = _old_infarct(points, config, seed)
    enhanced *= 1 - OLD_INFARCT_LOSS * infarct
    damage_hu = CORE_HU * _core(enhanced, brain) + OLD_INFARCT_HU * infarct
    shading_hu = damage_hu + beam_hardening_hu(points)
    filling = Filling(points=points, brain=brain, enhanced=enhanced, mirrored=mirrored)
    logit = spiral_logit(filling, bolus=flow.bolus, seed=seed)
    fields = np.stack([*enhanced, shading_hu, noise_gain(points), logit])
    return PerfusionModel(grid=grid, fields=fields.astype(np.float32))


def _tissue_enhancement(points: Field, graph: VesselGraph, flow: Flow) -> Field:
    """Return the enhancement of the blood in the tissue, [3, ...points] HU."""
    ends = np.flatnonzero(graph.is_end() & (graph.segment < FIRST_OUTSIDE_BRAIN))
    ends = np.setdiff1d(ends, graph.inlets)
    tree = cKDTree(graph.points_mm[ends])
    distance, nearest = tree.query(points.reshape(-1, 3), k=NEIGHBOURS, workers=1)
    weight = 1 / (distance + NEAR_MM)
    weight /= weight.sum(axis=1, keepdims=True)
    values = _enhancement_at_ends(ends, graph, flow)[:, nearest]  # (3, points, neighbours)
    total = (values * weight).sum(axis=2)
    return np.asarray(total.reshape(3, *points.shape[:-1]), np.float32)


def _enhancement_at_ends(ends: NDArray[np.intp], graph: VesselGraph, flow: Flow) -> Field:
    arrival = flow.arrival_s[ends]
    late = arrival * SLOWING + TISSUE_DELAY_S
    usual = np.full(len(ends), NORMAL_ARRIVAL_S + TISSUE_DELAY_S, np.float32)
    share = np.where(np.isfinite(arrival), flow.peak[ends], 0) * (1 - RESIDUAL)
    height_s = SCAN_S_PER_MM * graph.points_mm[ends, 2]
    phases = [
        share * enhancement(flow.bolus, time_s=time + height_s, arrival_s=late)
        + RESIDUAL * enhancement(flow.bolus, time_s=time + height_s, arrival_s=usual)
        for time in flow.bolus.phase_s
    ]
    return np.stack(phases)


def _core(enhanced: Field, brain: NDArray[np.bool_]) -> Field:
    """Return how much each point belongs to the infarct core, 0..1."""
    mean = enhanced.mean(axis=0)
    normal = max(float(np.median(mean[brain])), 1.0) if brain.any() else 1.0
    return np.asarray(np.clip(1 - mean / (CORE_SHARE * normal), 0, 1) * brain, np.float32)


def _old_infarct(points: Field, config: PhantomConfig, seed: int) -> Field:
    """Return the share of old infarct at each point, 0..1; most patients have none."""
    rng = stream(seed, "old infarct")
    side, has_one = rng.choice([1, -1]), rng.random() < config.old_infarct_rate
    centre = (rng.uniform(30, 55), rng.uniform(-70, 40), rng.uniform(-10, 45))
    half_x, half_y, half_z = rng.uniform(8, 18, 3)
    if not has_one:
        return np.zeros(points.shape[:-1], np.float32)
    inside = ellipsoid_mm(points, centre, (half_x, half_y, half_z))
    inside[points[..., 0] * side < 0] = -50
    return np.asarray(np.clip(inside / SOFT_EDGE_MM + 0.5, 0, 1), np.float32)
