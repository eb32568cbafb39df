# SPDX-License-Identifier: Apache-2.0
"""Veins: dural sinuses, deep veins and cortical veins on their way to the sinuses."""

import numpy as np

from aminet_benchmarks.phantom import courses
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.curves import spline, wind
from aminet_benchmarks.phantom.head import HeadShape, vault_ratio
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.vessels import NODE_STEP_MM, GraphBuilder, Segment

CORTICAL_VEINS = 11  # each side


def grow_veins(builder: GraphBuilder, *, head: HeadShape, config: PhantomConfig, seed: int) -> None:
    """Grow all veins of a head into a builder."""
    rng = stream(seed, "veins")
    _grow_sinuses(builder, head, rng)
    for side in (1, -1):
        for _ in range(CORTICAL_VEINS):
            _grow_cortical_vein(builder, head, rng, side=side, winding=config.tortuosity)


def _grow_sinuses(builder: GraphBuilder, head: HeadShape, rng: np.random.Generator) -> None:
    dominance = rng.normal(0, 0.3)
    for points, radius_mm in courses.SINUSES:
        sides = (1,) if points[0][0] == 0 else (1, -1)
        for side in sides:
            path = _course(points, head, rng, side)
            t = np.linspace(0.55, 1.15, len(path)).astype(np.float32)
            builder.add(path, segment=Segment.SINUS, side=side, radius_mm=radius_mm * t)
    for side in (1, -1):
        size = float(np.clip(3.2 + side * dominance * 2, 1.5, 4.2))
        builder.add(
            _course(courses.TRANSVERSE, head, rng, side),
            segment=Segment.SINUS,
            side=side,
            radius_mm=size,
        )


def _course(
    points: courses.Points, head: HeadShape, rng: np.random.Generator, side: int
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    control = np.array(points, np.float64)
    control[:, 0] *= side
    control += rng.normal(0, 0.8, control.shape)
    path = spline(control, step_mm=NODE_STEP_MM)
    centre = np.array(head.centre_mm, np.float32)
    ratio = vault_ratio(head, path)
    near_wall = (ratio > 0.78) & (path[:, 2] > -30)
    path[near_wall] = centre + (path[near_wall] - centre) * (0.965 / ratio[near_wall])[:, None]
    return path


def _grow_cortical_vein(
    builder: GraphBuilder, head: HeadShape, rng: np.random.Generator, *, side: int, winding: float
) -> None:
    """Draw a vein from the lateral surface up to the superior sagittal sinus."""
    y = rng.uniform(-75, 50)
    start = np.array([side * 60, y + rng.normal(0, 8), rng.uniform(-5, 30)])
    end = np.array([side * 3.0, y + rng.normal(0, 10) - 5, 75.0])
    t = np.linspace(0, 1, 6)[:, None]
    control = start * (1 - t) + end * t + np.array([side * 30, 0, 25]) * (t * (1 - t) * 2)
    centre = np.array(head.centre_mm)
    ratio = vault_ratio(head, control.astype(np.float32))[:, None]
    control = centre + (control - centre) * (0.96 / ratio)
    control[:, 1:] += rng.normal(0, 2.0, (6, 2))
    path = spline(control, step_mm=NODE_STEP_MM)
    path = wind(path, rng, amplitude_mm=1.0 * winding, wavelength_mm=14)
    thick = float(rng.uniform(0.6, 1.3))
    radius = thick * np.linspace(0.5, 1.1, len(path)).astype(np.float32)
    builder.add(path, segment=Segment.VEIN, side=side, radius_mm=radius)
