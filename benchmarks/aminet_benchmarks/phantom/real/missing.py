# SPDX-License-Identifier: Apache-2.0
"""What tracing leaves out: perforators, cerebellar arteries, thin twigs, scalp arteries, veins.

All of it is grown in the template's frame with the tools of the grown head, around a standard
vault that was fitted to this template; what then lies outside of the template's cavity is moved in.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aminet_benchmarks.phantom import courses
from aminet_benchmarks.phantom.arteries import Plotter, grow_external
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.growth import CORTICAL_PARENTS, SURFACE_DEPTH_MM, Canopy, spread
from aminet_benchmarks.phantom.head import HeadShape
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.real.template import Border, HeadTemplate
from aminet_benchmarks.phantom.veins import grow_veins
from aminet_benchmarks.phantom.vessels import GraphBuilder, Segment

Points = NDArray[np.float32]

STANDARD_HEAD = HeadShape(  # the middle of what `head.draw_head` draws
    centre_mm=(0.0, -16.0, 8.0),
    half_axes_mm=(70.0, 87.0, 75.0),
    egg=0.1,
    skew=0.0,
    skull_mm=6.25,
    scalp_mm=6.25,
    atrophy=0.5,
    ventricle_scale=1.05,
    base_shift_mm=0.0,
)
CEREBELLAR_TRACED_MM = 60.0  # each side; with less, the usual cerebellar arteries are added
CEREBELLAR_RADIUS_MM = 0.6
PERFORATOR_RADIUS_MM = 0.25
TWIGS = 110  # each side, into the gaps that tracing left
GAP_MM = 7.0
CANDIDATES = 4000
CORTEX_Z_MM = -45.0
TWIG_RADIUS_MM = (0.29, 0.24)  # where it leaves and where it ends; tracing ends at 0.31
INNER_DEPTH_MM = 1.4  # arteries of the brain stay this far from bone
SINUS_DEPTH_MM = 1.0
SKIN_DEPTH_MM = 2.5
FIT_ROUNDS = 6
GRADIENT_STEP_MM = 2.0
IN_BONE = (Segment.ICA, Segment.VERTEBRAL)


@dataclass(frozen=True, slots=True)
class _Shell:
    """Which nodes have to lie how deep below which border."""

    border: Border
    first: Segment
    last: Segment
    depth_mm: float


SHELLS = (
    _Shell(Border.CAVITY, Segment.M1, Segment.TWIG, INNER_DEPTH_MM),
    _Shell(Border.SCALP, Segment.EXTERNAL, Segment.EXTERNAL, SKIN_DEPTH_MM),
    _Shell(Border.CAVITY, Segment.VEIN, Segment.VEIN, SINUS_DEPTH_MM),
)


def grow_missing(
    builder: GraphBuilder, *, template: HeadTemplate, config: PhantomConfig, seed: int
) -> None:
    """Add to a traced tree what tracing cannot see, and fit all of it into the template."""
    plotter = Plotter(builder, config, seed)
    for side in (1, -1):
        _add_perforators(plotter, side)
        _add_cerebellar(plotter, side)
    rng = stream(seed, "twigs")
    for side in (1, -1):
        _add_twigs(builder, template, side=side, rng=rng)
    grow_external(plotter, STANDARD_HEAD)
    grow_veins(builder, head=STANDARD_HEAD, config=config, seed=seed)
    fit_into(builder, template)


def fit_into(builder: GraphBuilder, template: HeadTemplate) -> None:
    """Move nodes along the slope of the distance until they are deep enough inside."""
    segment = builder.segment[: builder.count]
    for shell in SHELLS:
        held = (segment >= shell.first) & (segment <= shell.last) & ~np.isin(segment, IN_BONE)
        nodes = np.flatnonzero(held)
        for _ in range(FIT_ROUNDS):
            points = builder.points[nodes]
            missing_mm = shell.depth_mm - template.sample_one(shell.border, points)
            sunk = missing_mm > 0
            inwards = _inwards(template, shell.border, points[sunk])
            builder.points[nodes[sunk]] += inwards * missing_mm[sunk][:, None]


def _inwards(template: HeadTemplate, border: Border, points: Points) -> Points:
    """Return unit vectors in which a border's distance grows, [N, 3]."""
    slope = np.empty_like(points)
    for axis in range(3):
        step = np.zeros(3, np.float32)
        step[axis] = GRADIENT_STEP_MM
        ahead = template.sample_one(border, points + step)
        slope[:, axis] = ahead - template.sample_one(border, points - step)
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    return np.asarray(slope / np.maximum(length, 1e-3), np.float32)


def _add_perforators(plotter: Plotter, side: int) -> None:
    for points in courses.PERFORATORS:
        nodes = plotter.branch(points, segment=Segment.PERFORATOR, parents=(Segment.M1,), side=side)
        plotter.builder.radius[nodes[1:]] = PERFORATOR_RADIUS_MM


def _add_cerebellar(plotter: Plotter, side: int) -> None:
    """Add the usual cerebellar arteries where few were traced."""
    builder = plotter.builder
    traced = builder.nodes_of((Segment.CEREBELLAR,), sides=(side,))
    is_traced = len(traced) * 1.6 > CEREBELLAR_TRACED_MM
    for entry in courses.CEREBELLAR:
        if is_traced and Segment.VERTEBRAL not in entry.parents:
            continue
        first = builder.count
        plotter.branch_if_present(entry, side=side)
        taper = np.linspace(1.0, 0.6, builder.count - first)
        builder.radius[first : builder.count] = CEREBELLAR_RADIUS_MM * taper


def _add_twigs(
    builder: GraphBuilder, template: HeadTemplate, *, side: int, rng: np.random.Generator
) -> None:
    """Grow twigs to points of the surface that no traced artery comes near."""
    targets = _gaps(builder, template, side=side, rng=rng)
    behind = targets[:, 2] < CORTEX_Z_MM * 0.25 - 0.35 * np.abs(targets[:, 0])
    is_low = behind & (targets[:, 1] < -35)
    for part, parents in (
        (targets[~is_low], (*CORTICAL_PARENTS, Segment.TWIG)),
        (targets[is_low], (Segment.CEREBELLAR,)),
    ):
        trunk = builder.nodes_of(parents, sides=(side,))
        if not len(part) or not len(trunk):
            continue
        first = builder.count
        Canopy(builder, trunk, centre=STANDARD_HEAD.centre_mm, side=side).reach(part, rng)
        _taper(builder, first)


def _gaps(
    builder: GraphBuilder, template: HeadTemplate, *, side: int, rng: np.random.Generator
) -> Points:
    """Return points [N, 3] just below the surface of the brain, away from any artery."""
    points = rng.uniform((0, -105, -60), (72, 75, 82), (CANDIDATES, 3)).astype(np.float32)
    points[:, 0] *= side
    depth = template.sample_one(Border.CAVITY, points)
    points = points[(depth > SURFACE_DEPTH_MM[0]) & (depth < SURFACE_DEPTH_MM[1])]
    brain = builder.points[: builder.count]
    distance, _ = cKDTree(brain).query(points, workers=1)
    points = points[distance > GAP_MM]
    return spread(points, TWIGS) if len(points) else points


def _taper(builder: GraphBuilder, first: int) -> None:
    """Give new twigs radii that fall along their way."""
    new = np.arange(first, builder.count)
    is_new = builder.radius[new] == 0
    edges = builder.edges()
    parent = np.full(builder.count, -1, np.int64)
    parent[edges[:, 1]] = edges[:, 0]
    steps = np.zeros(builder.count)
    thick, thin = TWIG_RADIUS_MM
    for node in new[is_new].tolist():  # parents come before their children
        up = int(parent[node])
        steps[node] = steps[up] + 1
        widest = min(thick, float(builder.radius[up]))
        builder.radius[node] = max(thin, widest - 0.004 * min(steps[node], 10))
