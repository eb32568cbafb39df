# SPDX-License-Identifier: Apache-2.0
"""Tissue: what blood reaches it in each phase, and the SPIRAL-like map made of that."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from aminet_benchmarks.phantom.anatomy import Anatomy
from aminet_benchmarks.phantom.atlas import posterior_fossa_mm
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.flow import SCAN_S_PER_MM, TISSUE_DELAY_S, Bolus, Flow, enhancement
from aminet_benchmarks.phantom.grid import ModelGrid
from aminet_benchmarks.phantom.head import cavity_depth_mm, ellipsoid_mm
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.vessels import FIRST_OUTSIDE_BRAIN, VesselGraph

NEIGHBOURS = 4  # ends of arteries that feed a point of tissue
RESIDUAL = 0.04  # share of the normal enhancement where no blood comes
CORE_HU = -4.0  # early oedema where next to no blood comes
OLD_INFARCT_HU = -16.0
BEAM_HARDENING_HU = -10.0  # between the pyramids

# The SPIRAL-like map: logistic(OFFSET + saturated evidence + noise), below 0.5 set to 0. The
# numbers were fitted so that thresholding it finds what it found in the source report.
OFFSET = -1.25
PER_SECOND_LATE = 0.5
PER_MISSING_BLOOD = 2.0
EVIDENCE_LIMIT = 2.0
OTHER_SIDE = 0.7  # weight of the other hemisphere in what is held for normal
NOISE = 1.0
NOISE_PEAK_HU = 380.0  # a weaker bolus makes a noisier map
BLANK_LOGIT = 4.0  # small, as cubic interpolation overshoots beside large steps
FOSSA_MARGIN_MM = 2.0

PLANES = ("phase 1", "phase 2", "phase 3", "shading", "noise gain", "spiral logit")


@dataclass(frozen=True, slots=True)
class PerfusionModel:
    """Tissue perfusion and slow scanner effects on a coarse grid.

    Attributes:
        grid: The coarse grid.
        fields: float32 [len(PLANES), Zc, Hc, Wc]: enhancement of the blood in the tissue in HU
            for the three phases, additive HU, gain of the noise, logit of the map.
    """

    grid: ModelGrid
    fields: NDArray[np.float32]


def build_perfusion(
    grid: ModelGrid,
    *,
    anatomy: Anatomy,
    flow: Flow,
    bolus: Bolus,
    config: PhantomConfig,
    seed: int,
) -> PerfusionModel:
    """Feed the tissue from the nearest ends of arteries and derive the SPIRAL-like map."""
    points = grid.head_points_mm()
    head = anatomy.head
    enhanced = _tissue_enhancement(points, anatomy.vessels, flow, bolus)
    across = points * np.array([-1, 1, 1], np.float32)
    mirrored = _tissue_enhancement(across, anatomy.vessels, flow, bolus)
    brain = cavity_depth_mm(head, points) > 1.0
    infarct = _old_infarct(points, config, seed)
    enhanced *= 1 - 0.7 * infarct
    normal = max(float(np.median(enhanced.mean(axis=0)[brain])), 1.0) if brain.any() else 1.0
    starved = np.clip(1 - enhanced.mean(axis=0) / (0.25 * normal), 0, 1) * brain
    shading = CORE_HU * starved + OLD_INFARCT_HU * infarct + _beam_hardening(points)
    fields = np.stack(
        [
            *enhanced,
            shading,
            _noise_gain(points),
            _spiral_logit(points, enhanced, mirrored, brain, bolus, seed),
        ]
    )
    return PerfusionModel(grid=grid, fields=fields.astype(np.float32))


def spiral_slice(logit: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the map of one slice, 0 or 0.5..1: what is not suspicious is blank."""
    probability = 1 / (1 + np.exp(-logit))
    return np.asarray(np.where(brain & (logit > 0), probability, 0), np.float32)


def _tissue_enhancement(
    points: NDArray[np.float32], graph: VesselGraph, flow: Flow, bolus: Bolus
) -> NDArray[np.float32]:
    degree = np.bincount(graph.edges.ravel(), minlength=len(graph.radius_mm))
    ends = np.flatnonzero((degree == 1) & (graph.segment < FIRST_OUTSIDE_BRAIN))
    ends = np.setdiff1d(ends, graph.inlets)
    late = flow.arrival_s[ends] * 1.15 + TISSUE_DELAY_S
    height_s = SCAN_S_PER_MM * graph.points_mm[ends, 2]
    share = np.where(np.isfinite(flow.arrival_s[ends]), flow.peak[ends], 0) * (1 - RESIDUAL)
    normal_late = np.full(len(ends), 2.0 + TISSUE_DELAY_S, np.float32)
    at_ends = [
        share * enhancement(bolus, time_s=time + height_s, arrival_s=late)
        + RESIDUAL * enhancement(bolus, time_s=time + height_s, arrival_s=normal_late)
        for time in bolus.phase_s
    ]
    distance, nearest = cKDTree(graph.points_mm[ends]).query(
        points.reshape(-1, 3), k=NEIGHBOURS, workers=1
    )
    weight = 1 / (distance + 4.0)
    weight /= weight.sum(axis=1, keepdims=True)
    values = np.stack(at_ends)[:, nearest]  # (3, points, neighbours)
    return (values * weight).sum(axis=2).reshape(3, *points.shape[:-1]).astype(np.float32)


def _old_infarct(
    points: NDArray[np.float32], config: PhantomConfig, seed: int
) -> NDArray[np.float32]:
    rng = stream(seed, "old infarct")
    side, has_one = rng.choice([1, -1]), rng.random() < config.old_infarct_rate
    centre = (rng.uniform(30, 55), rng.uniform(-70, 40), rng.uniform(-10, 45))
    half = tuple(rng.uniform(8, 18, 3))
    if not has_one:
        return np.zeros(points.shape[:-1], np.float32)
    inside = ellipsoid_mm(points, centre, (half[0], half[1], half[2]))
    inside[points[..., 0] * side < 0] = -50
    return np.asarray(np.clip(inside / 6 + 0.5, 0, 1), np.float32)


def _beam_hardening(points: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    between = np.exp(-(((z + 42) / 9) ** 2) - ((y + 27) / 14) ** 2 - (x / 30) ** 2)
    return np.asarray(BEAM_HARDENING_HU * between, np.float32)


def _noise_gain(points: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    centre = np.exp(-((x / 80) ** 2) - ((y + 16) / 100) ** 2)
    base = 1 / (1 + np.exp((z + 25) / 8))
    return np.asarray(0.6 + 0.4 * centre + 0.35 * base * centre, np.float32)


def _spiral_logit(
    points: NDArray[np.float32],
    enhanced: NDArray[np.float32],
    mirrored: NDArray[np.float32],
    brain: NDArray[np.bool_],
    bolus: Bolus,
    seed: int,
) -> NDArray[np.float32]:
    """Judge each point by its delay and missing blood against the other side and the median."""
    if not brain.any():
        return np.full(brain.shape, -BLANK_LOGIT, np.float32)
    times = np.array(bolus.phase_s, np.float32)[:, None, None, None]
    total, other_total = enhanced.sum(axis=0) + 1e-3, mirrored.sum(axis=0) + 1e-3
    centroid = (enhanced * times).sum(axis=0) / total
    other_centroid = (mirrored * times).sum(axis=0) / other_total
    usual, normal = np.median(centroid[brain]), np.median(total[brain])
    late = centroid - (OTHER_SIDE * other_centroid + (1 - OTHER_SIDE) * usual)
    missing = 1 - total / (OTHER_SIDE * other_total + (1 - OTHER_SIDE) * normal)
    evidence = np.maximum(PER_SECOND_LATE * late + PER_MISSING_BLOOD * missing, 0)
    evidence = EVIDENCE_LIMIT * np.tanh(evidence / EVIDENCE_LIMIT)
    rng = stream(seed, "spiral")
    noise = gaussian_filter(rng.standard_normal(brain.shape, dtype=np.float32), 0.8)
    noise *= NOISE * np.sqrt(NOISE_PEAK_HU / bolus.peak_hu) / noise.std()
    logit = OFFSET + evidence + noise
    logit[posterior_fossa_mm(points) > -FOSSA_MARGIN_MM] = -BLANK_LOGIT  # not covered
    return np.asarray(logit, np.float32)
