# SPDX-License-Identifier: Apache-2.0
"""How large the clots are, measured on their voxels and along their vessels."""

from collections.abc import Sequence

import numpy as np

from aminet_benchmarks.phantom.lumen import draw_mask, take
from aminet_benchmarks.phantom.patient import PhantomPatient
from aminet_benchmarks.phantom.stroke import Clot
from aminet_benchmarks.phantom.vessels import VesselGraph

Values = dict[str, float]

SHARES = (10, 50, 90)  # percentiles of the lengths


def clot_figures(patients: Sequence[PhantomPatient]) -> Values:
    """Measure each clot of the patients by itself, even where two touch."""
    pairs = [(patient, clot) for patient in patients for clot in patient.clots]
    volumes = np.array([volume_mm3(patient, clot) for patient, clot in pairs])
    lengths = [length_mm(patient.anatomy.vessels, clot) for patient, clot in pairs]
    is_medium = np.array([clot.is_medium for _, clot in pairs], np.bool_)
    figures = {
        "clot volume, large vessels, median, mm3": _median(volumes[~is_medium]),
        "clot volume, medium vessels, median, mm3": _median(volumes[is_medium]),
    }
    for share in SHARES if lengths else ():
        name = "median" if share == 50 else f"{share} % below"
        figures[f"clot length, {name}, mm"] = float(np.percentile(lengths, share))
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def volume_mm3(patient: PhantomPatient, clot: Clot) -> float:
    """Return the volume of the voxels that the clot file holds of one clot."""
    beads = patient.renderer.model.beads
    own = take(beads, np.isin(beads.node, clot.nodes))
    values = np.ones(len(own.node), np.uint8)
    voxels = sum(
        int(draw_mask(own, values, grid=patient.grid, index=index).sum())
        for index in patient.renderer.clot_slices()
    )
    return voxels * float(np.prod(patient.grid.spacing_mm))


def length_mm(graph: VesselGraph, clot: Clot) -> float:
    """Return how far a clot reaches along the vessels from where it starts."""
    inside = np.zeros(len(graph.radius_mm), np.bool_)
    inside[clot.nodes] = True
    own = inside[graph.edges].all(axis=1)
    lengths = graph.edge_lengths_mm()[own]
    walked: dict[int, float] = {}
    for (up, down), length in zip(graph.edges[own].tolist(), lengths.tolist(), strict=True):
        walked[down] = walked.get(up, 0.0) + length  # parents come before their children
    return max(walked.values(), default=0.0)


def _median(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
