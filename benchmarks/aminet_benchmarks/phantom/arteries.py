# SPDX-License-Identifier: Apache-2.0
"""Arteries: the named ones along their usual course, the rest grown to the surface."""

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom import courses
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.curves import spline, wind
from aminet_benchmarks.phantom.growth import grow_to_surface
from aminet_benchmarks.phantom.head import HeadShape, cavity_depth_mm, vault_ratio
from aminet_benchmarks.phantom.murray import set_radii
from aminet_benchmarks.phantom.randomness import Waves, smooth_waves, stream
from aminet_benchmarks.phantom.vessels import NODE_STEP_MM, GraphBuilder, Segment
from aminet_benchmarks.phantom.willis import CircleEnds, join_circle, vary_circle

WARP_WAVELENGTH_MM = 70.0
WINDING_WAVELENGTH_MM = 16.0
VERTEBRAL_RADIUS_MM = 1.45
VERTEBRAL_LIMITS_MM = (0.7, 2.0)
DOMINANCE_SD_MM = 0.25
BASILAR_RADIUS_MM = 1.6
M1_REACH_MM = (-9.0, 4.0)  # an early or late bifurcation of the middle cerebral artery
PCOA_LEAVES_NODES_BEFORE_END = 4  # of the carotid
UNDER_TABLE = 1 - 1.8 / 75  # arteries of the brain stay within this share of the vault
OVER_BASE_MM = 1.2
FACE_Z_MM = (-60.0, -20.0)  # between, the head widens from jaw to temple
FACE_HALF_WIDTH_MM = (52.0, 76.0)
DEPTH_IN_SCALP = 0.55


def grow_arteries(
    builder: GraphBuilder, *, head: HeadShape, config: PhantomConfig, seed: int
) -> None:
    """Grow all arteries of a head into a builder."""
    plotter = Plotter(builder, config, seed)
    variant = stream(seed, "willis")
    basilar_tip = _grow_vertebrobasilar(plotter)
    ends = {side: _grow_hemisphere(plotter, side, basilar_tip) for side in (1, -1)}
    join_circle(builder, ends, rng=variant, rate=config.variant_rate)
    for side in (1, -1):
        grow_to_surface(builder, head=head, side=side, rng=plotter.rng)
    _fit_into_cavity(builder, head)
    set_radii(builder)
    vary_circle(builder, rng=variant, rate=config.variant_rate)
    grow_external(plotter, head)


class Plotter:
    """Draws named vessels of one patient: usual course, warp, jitter, winding."""

    __slots__ = ("_tortuosity", "_warp", "_warp_mm", "builder", "rng")

    def __init__(self, builder: GraphBuilder, config: PhantomConfig, seed: int) -> None:
        self.builder = builder
        self.rng = stream(seed, "arteries")
        self._warp: Waves = smooth_waves(stream(seed, "warp"), wavelength_mm=WARP_WAVELENGTH_MM)
        self._warp_mm = config.warp_mm
        self._tortuosity = config.tortuosity

    def place(
        self, points: courses.Points, *, side: int, jitter_mm: float = 1.0
    ) -> NDArray[np.float64]:
        """Mirror, warp and jitter control points; returns [N, 3] mm."""
        control = np.array(points, np.float64)
        control[:, 0] *= side or 1
        warp = self._warp(control.astype(np.float32)).astype(np.float64)
        return control + self._warp_mm * warp + self.rng.normal(0, jitter_mm, control.shape)

    def course(self, control: NDArray[np.float64], *, amplitude_mm: float) -> NDArray[np.float32]:
        """Return the winding path through control points."""
        return wind(
            spline(control, step_mm=NODE_STEP_MM),
            self.rng,
            amplitude_mm=amplitude_mm * self._tortuosity,
            wavelength_mm=WINDING_WAVELENGTH_MM,
        )

    def continue_from(
        self, start: int, points: courses.Points, *, segment: Segment, side: int
    ) -> NDArray[np.int32]:
        """Draw a vessel onwards from a node and return its nodes."""
        return self._join(start, self.place(points, side=side), segment, side)

    def branch(
        self,
        points: courses.Points,
        *,
        segment: Segment,
        parents: tuple[Segment, ...],
        side: int,
    ) -> NDArray[np.int32]:
        """Draw a vessel from the nearest node of its parents."""
        control = self.place(points, side=side)
        return self._join(self._nearest(control[0], parents, side), control, segment, side)

    def branch_if_present(self, entry: courses.Course, *, side: int) -> None:
        """Draw a named branch, unless this patient lacks it."""
        control = self.place(entry.points, side=side, jitter_mm=2.0)
        if self.rng.random() < entry.presence:
            start = self._nearest(control[0], entry.parents, side)
            self._join(start, control, entry.segment, side)

    def _join(
        self, start: int, control: NDArray[np.float64], segment: Segment, side: int
    ) -> NDArray[np.int32]:
        joined = np.vstack([self.builder.points[start], control])
        path = self.course(joined, amplitude_mm=0.6)
        return self.builder.add(path, segment=segment, side=side, start=start)

    def _nearest(self, point: NDArray[np.float64], parents: tuple[Segment, ...], side: int) -> int:
        nodes = self.builder.nodes_of(parents, sides=(side, 0))
        distance = np.linalg.norm(self.builder.points[nodes] - point, axis=1)
        return int(nodes[np.argmin(distance)])


def _grow_vertebrobasilar(plotter: Plotter) -> int:
    """Draw both vertebral arteries and the basilar artery; returns the node of its tip."""
    junction = plotter.place((courses.VERTEBRO_BASILAR_JUNCTION,), side=0)[0]
    dominance = plotter.rng.normal(0, DOMINANCE_SD_MM)
    ends = []
    for side in (1, -1):
        control = np.vstack([plotter.place(courses.VERTEBRAL, side=side), junction])
        radius = np.clip(VERTEBRAL_RADIUS_MM + side * dominance, *VERTEBRAL_LIMITS_MM)
        path = plotter.course(control, amplitude_mm=0.5)
        nodes = plotter.builder.add(
            path, segment=Segment.VERTEBRAL, side=side, radius_mm=float(radius)
        )
        plotter.builder.inlets.append(int(nodes[0]))
        ends.append(int(nodes[-1]))
    plotter.builder.link(ends[1], ends[0])
    control = np.vstack([junction, plotter.place(courses.BASILAR, side=0)])
    basilar = plotter.builder.add(
        plotter.course(control, amplitude_mm=0.4),
        segment=Segment.BASILAR,
        side=0,
        radius_mm=BASILAR_RADIUS_MM,
        start=ends[0],
    )
    return int(basilar[-1])


def _grow_hemisphere(plotter: Plotter, side: int, basilar_tip: int) -> CircleEnds:
    """Draw the named arteries of one side and return where its circle of Willis is joined."""
    carotid = _grow_carotid(plotter, side)
    terminus = int(carotid[-1])
    m1 = _m1_course(plotter.rng)
    plotter.continue_from(terminus, m1, segment=Segment.M1, side=side)
    a1 = plotter.continue_from(terminus, courses.A1, segment=Segment.A1, side=side)
    p1 = plotter.continue_from(basilar_tip, courses.P1, segment=Segment.P1, side=side)
    plotter.continue_from(int(p1[-1]), courses.P2, segment=Segment.P2, side=side)
    for entry in (*courses.HEMISPHERE, *courses.CEREBELLAR):
        plotter.branch_if_present(entry, side=side)
    for points in courses.PERFORATORS:
        plotter.branch(points, segment=Segment.PERFORATOR, parents=(Segment.M1,), side=side)
    return CircleEnds(
        carotid=int(carotid[-PCOA_LEAVES_NODES_BEFORE_END]),
        anterior=int(a1[-1]),
        posterior=int(p1[-1]),
    )


def _grow_carotid(plotter: Plotter, side: int) -> NDArray[np.int32]:
    path = plotter.course(plotter.place(courses.ICA, side=side), amplitude_mm=0.3)
    radius = np.interp(
        np.linspace(0, 1, len(path)),
        np.linspace(0, 1, len(courses.ICA_RADII_MM)),
        courses.ICA_RADII_MM,
    )
    nodes = plotter.builder.add(
        path, segment=Segment.ICA, side=side, radius_mm=radius.astype(np.float32)
    )
    plotter.builder.inlets.append(int(nodes[0]))
    return nodes


def _m1_course(rng: np.random.Generator) -> courses.Points:
    """Return the course of M1 with its bifurcation moved sideways."""
    reach = rng.uniform(*M1_REACH_MM)
    moved = np.array(courses.M1)
    moved[2:, 0] += np.array([0.5, 1.0]) * reach
    return tuple((float(x), float(y), float(z)) for x, y, z in moved)


def _fit_into_cavity(builder: GraphBuilder, head: HeadShape) -> None:
    """Pull nodes of the brain's arteries that left the cavity back under the inner table."""
    points = builder.points[: builder.count]
    segment = builder.segment[: builder.count]
    is_free = np.isin(segment, (Segment.ICA, Segment.VERTEBRAL))
    centre = np.array(head.centre_mm, np.float32)
    ratio = vault_ratio(head, points)
    limit = np.float32(UNDER_TABLE)
    outside = (ratio > limit) & ~is_free
    points[outside] = centre + (points[outside] - centre) * (limit / ratio[outside])[:, None]
    missing_mm = OVER_BASE_MM - cavity_depth_mm(head, points)
    sunk = (missing_mm > 0) & ~is_free
    points[sunk, 2] += missing_mm[sunk]


def grow_external(plotter: Plotter, head: HeadShape) -> None:
    """Add arteries of scalp, dura and face: bright, tubular, and none of our business."""
    for side in (1, -1):
        for points, radius_mm in courses.EXTERNAL:
            control = plotter.place(points, side=side, jitter_mm=2.5)
            path = plotter.course(control, amplitude_mm=1.5)
            nodes = plotter.builder.add(
                _under_skin(path, head),
                segment=Segment.EXTERNAL,
                side=side,
                radius_mm=radius_mm * float(plotter.rng.uniform(0.7, 1.2)),
            )
            plotter.builder.inlets.append(int(nodes[0]))


def _under_skin(path: NDArray[np.float32], head: HeadShape) -> NDArray[np.float32]:
    """Pull the nodes of a path that lie outside of the head under the skin, in place."""
    centre = np.array(head.centre_mm, np.float32)
    wall_mm = head.skull_mm + DEPTH_IN_SCALP * head.scalp_mm
    limit = 1 + wall_mm / np.linalg.norm(path - centre, axis=1)
    ratio = vault_ratio(head, path)
    high = (path[:, 2] > FACE_Z_MM[1]) & (ratio > limit)
    path[high] = centre + (path[high] - centre) * (limit / ratio)[high, None]
    half_width = np.interp(path[:, 2], FACE_Z_MM, FACE_HALF_WIDTH_MM).astype(np.float32)
    path[:, 0] = np.clip(path[:, 0], -half_width, half_width)
    return path
