# SPDX-License-Identifier: Apache-2.0
"""The circle of Willis: communicating arteries, and the variants that patients have of it."""

from dataclasses import dataclass

import numpy as np

from aminet_benchmarks.phantom.curves import resample
from aminet_benchmarks.phantom.vessels import NODE_STEP_MM, GraphBuilder, Segment

ACOA_RADIUS_MM = (0.5, 0.9)
PCOA_RADII_MM = (0.35, 0.6, 0.8)
PCOA_SHARES = (0.35, 0.4, 0.25)
# Frequencies at rate 1, about those of anatomical series (Alpers 1959; Lippert and Pabst 1985).
PCOA_MISSING = 0.2
A1_HYPOPLASTIC = 0.15
PCA_FETAL = 0.15
HYPOPLASTIC_MM = 0.4
FETAL_PCOA_MM = 1.05


@dataclass(frozen=True, slots=True)
class CircleEnds:
    """Where the communicating arteries of one side are joined, as nodes.

    Attributes:
        carotid: Below the carotid terminus.
        anterior: End of A1.
        posterior: End of P1.
    """

    carotid: int
    anterior: int
    posterior: int


def join_circle(
    builder: GraphBuilder, ends: dict[int, CircleEnds], *, rng: np.random.Generator, rate: float
) -> None:
    """Draw the communicating arteries, unless this patient lacks one.

    Args:
        builder: The vessels so far.
        ends: Ends to join of the right (1) and the left (-1) side.
        rng: Source of randomness.
        rate: Scale of the frequency of variants.
    """
    right, left = ends[1].anterior, ends[-1].anterior
    acoa = _connect(builder, right, left, segment=Segment.ACOA, side=0)
    builder.radius[acoa] = rng.uniform(*ACOA_RADIUS_MM)
    for side in (1, -1):
        if rng.random() < PCOA_MISSING * rate:
            continue
        radius_mm = rng.choice(PCOA_RADII_MM, p=PCOA_SHARES)
        pcoa = _connect(
            builder, ends[side].carotid, ends[side].posterior, segment=Segment.PCOA, side=side
        )
        builder.radius[pcoa] = radius_mm


def vary_circle(builder: GraphBuilder, *, rng: np.random.Generator, rate: float) -> None:
    """Make some first segments hypoplastic and some posterior cerebral arteries fetal."""
    weak_side = int(rng.choice([1, -1])) if rng.random() < A1_HYPOPLASTIC * rate else 0
    for side in (1, -1):
        if side == weak_side:
            builder.radius[builder.nodes_of((Segment.A1,), sides=(side,))] = HYPOPLASTIC_MM
        is_fetal = rng.random() < PCA_FETAL * rate
        pcoa = builder.nodes_of((Segment.PCOA,), sides=(side,))
        if is_fetal and len(pcoa):
            builder.radius[pcoa] = FETAL_PCOA_MM
            builder.radius[builder.nodes_of((Segment.P1,), sides=(side,))] = HYPOPLASTIC_MM


def _connect(
    builder: GraphBuilder, start: int, end: int, *, segment: Segment, side: int
) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    """Draw a straight vessel between two nodes and return its new nodes."""
    ends = np.stack([builder.points[start], builder.points[end]]).astype(np.float64)
    path = resample(ends, step_mm=NODE_STEP_MM)
    nodes = builder.add(path[:-1], segment=segment, side=side, start=start)
    builder.link(int(nodes[-1]), end)
    return nodes[1:]
