# SPDX-License-Identifier: Apache-2.0
"""Arteries: named vessels along their usual course, then growth to the surface.

Growth is a greedy form of constrained constructive optimisation: targets are scattered over the
surface of the brain, and from the middle outwards each is joined to the node that costs least in
length and turning. Radii follow Murray's law, counted from the ends.
"""

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom import courses
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.curves import resample, spline, wind
from aminet_benchmarks.phantom.head import HeadShape, cavity_depth_mm, vault_ratio
from aminet_benchmarks.phantom.randomness import Waves, smooth_waves, stream
from aminet_benchmarks.phantom.vessels import GraphBuilder, Segment

NODE_STEP_MM = 1.6
TURN_COST = 0.5  # extra cost of a branch that leaves against the flow
LATERAL_TARGETS = 165  # each side
MEDIAL_TARGETS = 60
CEREBELLAR_TARGETS = 26
CEREBELLUM_CENTRE_MM = (22.0, -64.0, -36.0)
CEREBELLUM_HALF_MM = (25.0, 24.0, 17.0)
MURRAY_POWER = 3.0
ROOT_RADII_MM = {
    Segment.M1: 1.45,
    Segment.A1: 1.15,
    Segment.P1: 1.1,
    Segment.CEREBELLAR: 0.75,
    Segment.PERFORATOR: 0.25,
}
THINNEST_MM = 0.18
FACE_Z_MM = (-60.0, -20.0)  # between, the head widens from jaw to temple
FACE_HALF_WIDTH_MM = (52.0, 76.0)


def grow_arteries(
    builder: GraphBuilder, *, head: HeadShape, config: PhantomConfig, seed: int
) -> None:
    """Grow all arteries of a head into a builder."""
    course = _CourseMaker(config, seed)
    variant = stream(seed, "willis")
    basilar = _grow_vertebrobasilar(builder, course)
    ends = {}
    for side in (1, -1):
        ends[side] = _grow_hemisphere(builder, course, side=side, basilar_tip=int(basilar[-1]))
    _join_circle(builder, ends, rng=variant, rate=config.variant_rate)
    for side in (1, -1):
        _grow_cortical(builder, head, side=side, course=course)
    _fit_into_cavity(builder, head)
    _set_radii(builder)
    _vary_circle(builder, rng=variant, rate=config.variant_rate)
    _grow_external(builder, course, head)


class _CourseMaker:
    """Turns control points into the course of this patient: warp, jitter, winding."""

    __slots__ = ("_tortuosity", "_warp", "_warp_mm", "rng")

    def __init__(self, config: PhantomConfig, seed: int) -> None:
        self.rng = stream(seed, "arteries")
        self._warp: Waves = smooth_waves(stream(seed, "warp"), wavelength_mm=70)
        self._warp_mm = config.warp_mm
        self._tortuosity = config.tortuosity

    def place(
        self, points: courses.Points, *, side: int, jitter_mm: float = 1.0
    ) -> NDArray[np.float64]:
        """Mirror, warp and jitter control points."""
        control = np.array(points, np.float64)
        control[:, 0] *= side or 1
        warp = self._warp(control.astype(np.float32)).astype(np.float64)
        return control + self._warp_mm * warp + self.rng.normal(0, jitter_mm, control.shape)

    def course(self, control: NDArray[np.float64], *, amplitude_mm: float) -> NDArray[np.float32]:
        """Return the winding path through control points."""
        path = spline(control, step_mm=NODE_STEP_MM)
        return wind(path, self.rng, amplitude_mm=amplitude_mm * self._tortuosity, wavelength_mm=16)


def _grow_vertebrobasilar(builder: GraphBuilder, course: _CourseMaker) -> NDArray[np.int32]:
    junction = course.place((courses.VERTEBRO_BASILAR_JUNCTION,), side=0)[0]
    starts = []
    dominance = course.rng.normal(0, 0.25)
    for side in (1, -1):
        control = np.vstack([course.place(courses.VERTEBRAL, side=side), junction])
        radius = float(np.clip(1.45 + side * dominance, 0.7, 2.0))
        nodes = builder.add(
            course.course(control, amplitude_mm=0.5),
            segment=Segment.VERTEBRAL,
            side=side,
            radius_mm=radius,
        )
        builder.inlets.append(int(nodes[0]))
        starts.append(int(nodes[-1]))
    builder.link(starts[1], starts[0])
    control = np.vstack([junction, course.place(courses.BASILAR, side=0)])
    path = course.course(control, amplitude_mm=0.4)
    return builder.add(path, segment=Segment.BASILAR, side=0, radius_mm=1.6, start=starts[0])


def _grow_hemisphere(
    builder: GraphBuilder, course: _CourseMaker, *, side: int, basilar_tip: int
) -> dict[str, int]:
    """Grow carotid, A1, M1, P1, P2 and all named branches of one side."""
    carotid_path = course.course(course.place(courses.ICA, side=side), amplitude_mm=0.3)
    radius = np.interp(
        np.linspace(0, 1, len(carotid_path)),
        np.linspace(0, 1, len(courses.ICA_RADII_MM)),
        courses.ICA_RADII_MM,
    )
    carotid = builder.add(
        carotid_path, segment=Segment.ICA, side=side, radius_mm=radius.astype(np.float32)
    )
    builder.inlets.append(int(carotid[0]))
    early = course.rng.uniform(-9, 4) * side  # early or late bifurcation of the MCA
    m1_control = np.array(courses.M1) - np.array([[0, 0, 0]] * 2 + [[0, 0, 0]] * 2)
    m1_control[2:, 0] += np.array([0.5, 1.0]) * abs(early) * np.sign(early * side)
    middle = _add_course(
        builder, course, Segment.M1, tuple(map(tuple, m1_control)), side, carotid[-1]
    )
    anterior = _add_course(builder, course, Segment.A1, courses.A1, side, carotid[-1])
    p1 = _add_course(builder, course, Segment.P1, courses.P1, side, basilar_tip)
    _add_course(builder, course, Segment.P2, courses.P2, side, p1[-1])
    for entry in courses.HEMISPHERE:
        _add_branch(builder, course, entry, side)
    for entry in courses.CEREBELLAR:
        _add_branch(builder, course, entry, side)
    for points in courses.PERFORATORS:
        control = course.place(points, side=side)
        start = _nearest(builder, control[0], (Segment.M1,), side)
        _add_path(builder, course, Segment.PERFORATOR, control, side, start)
    return {
        "a1": int(anterior[-1]),
        "p1": int(p1[-1]),
        "ica": int(carotid[-4]),
        "m1": int(middle[-1]),
    }


def _add_course(
    builder: GraphBuilder,
    course: _CourseMaker,
    segment: Segment,
    points: courses.Points,
    side: int,
    start: int,
) -> NDArray[np.int32]:
    return _add_path(builder, course, segment, course.place(points, side=side), side, int(start))


def _add_path(
    builder: GraphBuilder,
    course: _CourseMaker,
    segment: Segment,
    control: NDArray[np.float64],
    side: int,
    start: int,
) -> NDArray[np.int32]:
    joined = np.vstack([builder.points[start], control])
    return builder.add(
        course.course(joined, amplitude_mm=0.6), segment=segment, side=side, start=start
    )


def _add_branch(
    builder: GraphBuilder, course: _CourseMaker, entry: courses.Course, side: int
) -> None:
    control = course.place(entry.points, side=side, jitter_mm=2.0)
    present = course.rng.random() < entry.presence
    if not present:
        return
    start = _nearest(builder, control[0], entry.parents, side)
    _add_path(builder, course, entry.segment, control, side, start)


def _nearest(
    builder: GraphBuilder, point: NDArray[np.float64], parents: tuple[Segment, ...], side: int
) -> int:
    """Return the node of the parents that is nearest; the last of M1 counts for its branches."""
    n = builder.count
    fits = np.isin(builder.segment[:n], parents)
    fits &= (builder.side[:n] == side) | (builder.side[:n] == 0)
    nodes = np.flatnonzero(fits)
    distance = np.linalg.norm(builder.points[nodes] - point, axis=1)
    return int(nodes[np.argmin(distance)])


def _join_circle(
    builder: GraphBuilder, ends: dict[int, dict[str, int]], *, rng: np.random.Generator, rate: float
) -> None:
    """Join the communicating arteries, unless this patient lacks one."""
    _connect(builder, ends[1]["a1"], ends[-1]["a1"], Segment.ACOA, 0, rng.uniform(0.5, 0.9))
    for side in (1, -1):
        missing = rng.random() < 0.2 * rate
        if missing:
            continue
        size = rng.choice([0.35, 0.6, 0.8], p=[0.35, 0.4, 0.25])
        _connect(builder, ends[side]["ica"], ends[side]["p1"], Segment.PCOA, side, size)


def _connect(
    builder: GraphBuilder, start: int, end: int, segment: Segment, side: int, radius_mm: float
) -> None:
    ends = np.stack([builder.points[start], builder.points[end]]).astype(np.float64)
    path = resample(ends, step_mm=NODE_STEP_MM)
    nodes = builder.add(path[:-1], segment=segment, side=side, radius_mm=radius_mm, start=start)
    builder.link(int(nodes[-1]), end)


def _grow_cortical(
    builder: GraphBuilder, head: HeadShape, *, side: int, course: _CourseMaker
) -> None:
    """Join scattered targets of one side to the tree, the near ones first."""
    rng = course.rng
    cortical = (
        Segment.M2_SUPERIOR,
        Segment.M2_INFERIOR,
        Segment.M3_SUPERIOR,
        Segment.M3_INFERIOR,
        Segment.A2,
        Segment.A3,
        Segment.P2,
        Segment.P3,
    )
    lateral = _lateral_targets(head, rng, side)
    medial = _medial_targets(rng, side)
    targets = np.vstack([lateral, medial])
    _grow_to(builder, targets, parents=cortical, side=side, rng=rng, centre=head.centre_mm)
    folia = _cerebellar_targets(rng, side)
    centre = (CEREBELLUM_CENTRE_MM[0] * side, *CEREBELLUM_CENTRE_MM[1:])
    _grow_to(builder, folia, parents=(Segment.CEREBELLAR,), side=side, rng=rng, centre=centre)


def _lateral_targets(head: HeadShape, rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Scatter points under the convexity of one side, evenly by solid angle."""
    direction = rng.normal(size=(LATERAL_TARGETS * 4, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction[:, 0] = side * np.abs(direction[:, 0])
    rays = (direction * 60 + np.array(head.centre_mm)).astype(np.float32)
    ratio = vault_ratio(head, rays)[:, None]
    depth = rng.uniform(2.0, 7.0, (len(rays), 1)) / 75
    points = np.array(head.centre_mm) + direction * 60 / ratio * (1 - depth)
    points = points.astype(np.float32)
    keep = (points[:, 2] > -40) & (np.abs(points[:, 0]) > 7)
    keep &= ~((points[:, 1] < -30) & (points[:, 2] < -12 - 0.25 * np.abs(points[:, 0])))
    keep &= cavity_depth_mm(head, points) > 1.5
    return _spread(points[keep], LATERAL_TARGETS)


def _medial_targets(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Scatter points on the medial wall of one hemisphere, above the corpus callosum."""
    y = rng.uniform(-94, 64, MEDIAL_TARGETS * 5)
    z = rng.uniform(-14, 72, MEDIAL_TARGETS * 5)
    inside = ((y + 15) / 80) ** 2 + ((z - 4) / 68) ** 2 < 1
    outside = ((y + 8) / 40) ** 2 + ((z - 4) / 24) ** 2 > 1
    keep = inside & outside & ((z > 0) | (y > 30) | (y < -50))
    x = side * rng.uniform(3.0, 7.0, keep.sum())
    points = np.stack([x, y[keep], z[keep]], axis=1).astype(np.float32)
    return _spread(points, MEDIAL_TARGETS)


def _cerebellar_targets(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    direction = rng.normal(size=(CEREBELLAR_TARGETS * 3, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = direction * np.array(CEREBELLUM_HALF_MM) + np.array(CEREBELLUM_CENTRE_MM)
    points[:, 0] *= side
    keep = np.abs(points[:, 0]) > 2
    return _spread(points[keep].astype(np.float32), CEREBELLAR_TARGETS)


def _spread(points: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Thin random points out to `count` that keep their distance (best of those left)."""
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    for _ in range(min(count, len(points)) - 1):
        chosen.append(int(np.argmax(distance)))
        np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1), out=distance)
    return points[chosen]


def _grow_to(
    builder: GraphBuilder,
    targets: NDArray[np.float32],
    *,
    parents: tuple[Segment, ...],
    side: int,
    rng: np.random.Generator,
    centre: tuple[float, float, float],
) -> None:
    n = builder.count
    fits = np.isin(builder.segment[:n], parents) & (builder.side[:n] == side)
    nodes = np.flatnonzero(fits)
    nodes = nodes[(np.arange(len(nodes)) % 2) == 0]
    tree = np.zeros((len(nodes) + len(targets) * 16, 3), np.float32)
    number = np.zeros(len(tree), np.int32)
    ahead = np.zeros_like(tree)
    filled = len(nodes)
    tree[:filled], number[:filled] = builder.points[nodes], nodes
    order = np.argsort(np.linalg.norm(targets - np.array([0, 0, -15], np.float32), axis=1))
    for target in targets[order]:
        offset = target - tree[:filled]
        distance = np.sqrt(np.einsum("ij,ij->i", offset, offset))
        turn = np.einsum("ij,ij->i", offset, ahead[:filled]) / np.maximum(distance, 1e-3)
        best = int(np.argmin(distance * (1 + TURN_COST * (1 - turn))))
        path = _twig_path(tree[best], target, ahead[best], rng, np.array(centre, np.float32))
        new = builder.add(path, segment=Segment.TWIG, side=side, start=int(number[best]))[1:]
        picked = new[::2]
        end = filled + len(picked)
        if end > len(tree):
            break
        tree[filled:end], number[filled:end] = builder.points[picked], picked
        ahead[filled:end] = (target - tree[best]) / max(float(distance[best]), 1e-3)
        filled = end


def _twig_path(
    start: NDArray[np.float32],
    target: NDArray[np.float32],
    ahead: NDArray[np.float32],
    rng: np.random.Generator,
    centre: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return a winding path along the surface: its distance from the centre is interpolated."""
    length = float(np.linalg.norm(target - start))
    count = max(3, int(np.ceil(length / NODE_STEP_MM)) + 1)
    t = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    bend = (start + target) / 2 + ahead * (0.25 * length)
    bend = bend + rng.normal(0, 0.08 * length, 3).astype(np.float32)
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * target
    knots = max(2, count // 5)
    wave = rng.normal(0, 0.9, (knots + 1, 3)).astype(np.float32)
    wave[0] = 0
    s = t[:, 0] * knots
    k = np.minimum(s.astype(np.int32), knots - 1)
    path += wave[k] + (s - k)[:, None] * (wave[k + 1] - wave[k])
    reach = np.linalg.norm(path - centre, axis=1, keepdims=True)
    first, last = np.linalg.norm(start - centre), np.linalg.norm(target - centre)
    wanted = first + t * (last - first)
    along = np.clip(length / 20, 0.2, 0.8)
    path = centre + (path - centre) * (1 + along * (wanted / np.maximum(reach, 1) - 1))
    path[0] = start
    return np.asarray(path, np.float32)


def _fit_into_cavity(builder: GraphBuilder, head: HeadShape) -> None:
    """Pull nodes of the brain's arteries that left the cavity back under the inner table."""
    n = builder.count
    points = builder.points[:n]
    free = np.isin(builder.segment[:n], (Segment.ICA, Segment.VERTEBRAL))
    centre = np.array(head.centre_mm, np.float32)
    ratio = vault_ratio(head, points)
    limit = np.float32(1 - 1.8 / 75)
    outside = (ratio > limit) & ~free
    points[outside] = centre + (points[outside] - centre) * (limit / ratio[outside])[:, None]
    low = 1.2 - cavity_depth_mm(head, points)
    sunk = (low > 0) & ~free
    points[sunk, 2] += low[sunk]


def _set_radii(builder: GraphBuilder) -> None:
    """Fill in the radii that are 0 by Murray's law from the number of ends downstream."""
    n = builder.count
    edges = builder.edges()
    parent = np.full(n, -1, np.int64)
    is_tree = (builder.segment[edges[:, 1]] != Segment.ACOA) & (edges[:, 1] > edges[:, 0])
    is_tree &= builder.segment[edges[:, 0]] != Segment.ACOA
    is_tree &= builder.segment[edges[:, 0]] != Segment.PCOA
    is_tree &= builder.segment[edges[:, 1]] != Segment.PCOA
    parent[edges[is_tree, 1]] = edges[is_tree, 0]
    ends = _count_ends(parent, n)
    radius = builder.radius
    base_radius = np.zeros(n)
    base_ends = np.ones(n)
    for node in range(n):
        if radius[node] > 0:
            continue
        above = parent[node]
        root = ROOT_RADII_MM.get(Segment(builder.segment[node]))
        fresh = above < 0 or builder.segment[above] != builder.segment[node]
        if root is not None and fresh:
            base_radius[node], base_ends[node] = root, ends[node]
        elif above >= 0:
            base_radius[node], base_ends[node] = base_radius[above], base_ends[above]
        share = ends[node] / base_ends[node]
        radius[node] = max(THINNEST_MM, base_radius[node] * share ** (1 / MURRAY_POWER))


def _count_ends(parent: NDArray[np.int64], count: int) -> list[int]:
    above = parent.tolist()
    ends = [0] * count
    for node in range(count - 1, -1, -1):
        ends[node] = ends[node] or 1
        if above[node] >= 0:
            ends[above[node]] += ends[node]
    return ends


def _vary_circle(builder: GraphBuilder, *, rng: np.random.Generator, rate: float) -> None:
    """Make some segments of the circle of Willis hypoplastic and some PCAs fetal."""
    n = builder.count
    weak_a1 = int(rng.choice([1, -1])) if rng.random() < 0.15 * rate else 0
    for side in (1, -1):
        on_side = builder.side[:n] == side
        if side == weak_a1:
            builder.radius[:n][on_side & (builder.segment[:n] == Segment.A1)] = 0.4
        fetal = rng.random() < 0.15 * rate
        pcoa = on_side & (builder.segment[:n] == Segment.PCOA)
        if fetal and pcoa.any():
            builder.radius[:n][pcoa] = 1.05
            builder.radius[:n][on_side & (builder.segment[:n] == Segment.P1)] = 0.4


def _grow_external(builder: GraphBuilder, course: _CourseMaker, head: HeadShape) -> None:
    """Add arteries of scalp, dura and face: bright, tubular, and none of our business."""
    for side in (1, -1):
        for points, radius_mm in courses.EXTERNAL:
            control = course.place(points, side=side, jitter_mm=2.5)
            path = course.course(control, amplitude_mm=1.5)
            nodes = builder.add(
                _under_skin(path, head),
                segment=Segment.EXTERNAL,
                side=side,
                radius_mm=radius_mm * float(course.rng.uniform(0.7, 1.2)),
            )
            builder.inlets.append(int(nodes[0]))


def _under_skin(path: NDArray[np.float32], head: HeadShape) -> NDArray[np.float32]:
    """Pull the nodes of a path that lie outside of the head under the skin."""
    centre = np.array(head.centre_mm, np.float32)
    limit = 1 + (head.skull_mm + 0.55 * head.scalp_mm) / np.linalg.norm(path - centre, axis=1)
    ratio = vault_ratio(head, path)
    high = (path[:, 2] > FACE_Z_MM[1]) & (ratio > limit)
    path[high] = centre + (path[high] - centre) * (limit / ratio)[high, None]
    half_width = np.interp(path[:, 2], FACE_Z_MM, FACE_HALF_WIDTH_MM).astype(np.float32)
    path[:, 0] = np.clip(path[:, 0], -half_width, half_width)
    return path
