# SPDX-License-Identifier: Apache-2.0
"""Feeding: the enhancement that blood brings to the tissue, from the nearest ends of arteries."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aminet_benchmarks.phantom.bolus import Bolus, enhancement
from aminet_benchmarks.phantom.flow import SCAN_S_PER_MM, Flow
from aminet_benchmarks.phantom.unevenness import Unevenness
from aminet_benchmarks.phantom.vessels import FIRST_OUTSIDE_BRAIN, VesselGraph

Field = NDArray[np.float32]

NEIGHBOURS = 4  # ends of arteries that feed a point of tissue
NEAR_MM = 4.0  # ends within this distance feed about equally
TISSUE_DELAY_S = 1.5  # from the pial ends into the capillaries: a part of the MTT of 4 s
SLOWING = 1.15  # of a delay, from the pial ends into the capillaries
NORMAL_ARRIVAL_S = 3.5  # in the capillaries
RESIDUAL = 0.35  # of the blood that is lost, what collaterals too small to be drawn bring
RESIDUAL_DELAY_S = 4.0  # and how late


class TissueFeeding:
    """The brain's arteries as seen from the tissue.

    Args:
        graph: All vessels.
        flow: The blood in them.
        unevenness: What differs from place to place without any clot.
    """

    def __init__(self, graph: VesselGraph, flow: Flow, unevenness: Unevenness) -> None:
        ends = np.flatnonzero(graph.is_end() & (graph.segment < FIRST_OUTSIDE_BRAIN))
        ends = np.setdiff1d(ends, graph.inlets)
        is_fed = np.isfinite(flow.arrival_s[ends])
        self._tree = cKDTree(graph.points_mm[ends])
        self._scan_s = SCAN_S_PER_MM * graph.points_mm[ends, 2]
        self._arrival_s = np.where(is_fed, flow.arrival_s[ends] * SLOWING, 0) + TISSUE_DELAY_S
        self._share = np.where(is_fed, flow.peak[ends], 0)
        self._bolus = flow.bolus
        self._unevenness = unevenness

    def enhanced(self, points: Field) -> Field:
        """Return the enhancement of the blood in the tissue at points [..., 3], [3, ...] HU."""
        delay_s, factor = self._unevenness.filling(points)
        fed = self._from_ends(points.reshape(-1, 3), delay_s.reshape(-1, 1))
        return np.asarray(fed.reshape(-1, *points.shape[:-1]) * factor, np.float32)

    def _from_ends(self, points: Field, delay_s: Field) -> Field:
        distance, nearest = self._tree.query(points, k=NEIGHBOURS, workers=1)
        weight = 1 / (distance + NEAR_MM)
        weight /= weight.sum(axis=1, keepdims=True)
        own = weight * self._share[nearest]
        residual = RESIDUAL * (weight - own)
        is_lacking = residual.any(axis=1)
        total = []
        for time in self._bolus.phase_s:
            time_s = np.asarray(time + self._scan_s[nearest], np.float32)
            phase = (own * self._curve(time_s, self._arrival_s[nearest] + delay_s)).sum(axis=1)
            late = self._curve(
                time_s[is_lacking], NORMAL_ARRIVAL_S + RESIDUAL_DELAY_S + delay_s[is_lacking]
            )
            phase[is_lacking] += (residual[is_lacking] * late).sum(axis=1)
            total.append(phase)
        return np.stack(total)

    def _curve(self, time_s: Field, arrival_s: Field) -> Field:
        return enhancement(self._bolus, time_s=time_s, arrival_s=np.maximum(arrival_s, 0))


def normal_enhancement(bolus: Bolus, *, heights_mm: Field) -> Field:
    """Return the enhancement of normally fed blood in tissue at heights [N], [3, N] HU."""
    arrival_s = np.full(len(heights_mm), NORMAL_ARRIVAL_S, np.float32)
    return np.stack(
        [
            enhancement(
                bolus,
                time_s=np.asarray(time + SCAN_S_PER_MM * heights_mm, np.float32),
                arrival_s=arrival_s,
            )
            for time in bolus.phase_s
        ]
    )
