# SPDX-License-Identifier: Apache-2.0
"""Perfusion: what blood reaches the tissue in each phase, and what that does to it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.anatomy import Anatomy
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.feeding import TissueFeeding, normal_enhancement
from aminet_benchmarks.phantom.flow import Flow
from aminet_benchmarks.phantom.grid import ModelGrid
from aminet_benchmarks.phantom.head import ellipsoid_mm
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.scanner import beam_hardening_hu, noise_gain
from aminet_benchmarks.phantom.spiral_map import Filling, spiral_logit
from aminet_benchmarks.phantom.unevenness import Unevenness

Field = NDArray[np.float32]

BRAIN_DEPTH_MM = 1.0
CORE_HU = -4.0  # oedema where no blood comes; with what collaterals bring it is barely visible
CORE_SHARE = 0.6  # of the normal enhancement, below which it begins
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
        external: float32 [3, Zc], enhancement of the blood of the external carotid, which feeds
            scalp, face, neck and dura and knows nothing of a stroke.
    """

    grid: ModelGrid
    fields: Field
    external: Field

    def external_hu(self, index: int) -> Field:
        """Return the enhancement of the external carotid's blood in a slice, [3] HU."""
        return self.grid.plane(self.external[:, :, None, None], index).reshape(-1)


def build_perfusion(
    grid: ModelGrid, *, anatomy: Anatomy, flow: Flow, config: PhantomConfig, seed: int
) -> PerfusionModel:
    """Feed the tissue from the nearest ends of arteries."""
    points = grid.head_points_mm()
    across = points * np.array([-1, 1, 1], np.float32)
    unevenness = Unevenness(seed, flow.bolus, amount=config.unevenness)
    feeding = TissueFeeding(anatomy.vessels, flow, unevenness)
    infarct = _old_infarct(points, config, seed)
    enhanced = feeding.enhanced(points) * (1 - OLD_INFARCT_LOSS * infarct)
    mirrored = feeding.enhanced(across) * (
        1 - OLD_INFARCT_LOSS * _old_infarct(across, config, seed)
    )
    brain = np.asarray(anatomy.cavity_depth_mm(points) > BRAIN_DEPTH_MM, np.bool_)
    external = normal_enhancement(flow.bolus, heights_mm=grid.zs_mm)
    shading_hu = OLD_INFARCT_HU * infarct + beam_hardening_hu(points)
    shading_hu += CORE_HU * _core(enhanced, normal_hu=float(external.mean()))
    shading_hu += unevenness.hypodense_hu(points)
    filling = Filling(points=points, brain=brain, enhanced=enhanced, mirrored=mirrored)
    logit = spiral_logit(filling, bolus=flow.bolus)
    fields = np.stack([*enhanced, shading_hu, noise_gain(points), logit])
    return PerfusionModel(grid=grid, fields=fields.astype(np.float32), external=external)


def _core(enhanced: Field, *, normal_hu: float) -> Field:
    """Return how much each point lacks blood, 0..1, whatever the cause."""
    lack = 1 - enhanced.mean(axis=0) / (CORE_SHARE * normal_hu)
    return np.asarray(np.clip(lack, 0, 1), np.float32)


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
