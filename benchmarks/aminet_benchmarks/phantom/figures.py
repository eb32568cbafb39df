# SPDX-License-Identifier: Apache-2.0
"""What a cohort of phantoms measures: vessels, stroke, and the voxels themselves.

All is measured as on a scan or a traced tree from outside, but for masks: where a tissue is, is
taken from the model, as no segmentation is needed to know it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.masks import pure_masks
from aminet_benchmarks.phantom.patient import PhantomPatient
from aminet_benchmarks.phantom.vessels import Segment, VesselGraph
from aminet_benchmarks.phantom.visible_change import CHANGE_HU
from aminet_runtime.regions import REGION_COUNT

Field = NDArray[np.float32]
Values = dict[str, float]

TRACED_RADIUS_MM = 0.3  # the real trees hold nothing thinner
TRACED_ABOVE_Z_MM = -60.0  # nor what is below the skull base
MIDDLE = (
    Segment.M1,
    Segment.M2_SUPERIOR,
    Segment.M2_INFERIOR,
    Segment.M3_SUPERIOR,
    Segment.M3_INFERIOR,
)
ANTERIOR = (Segment.A1, Segment.A2, Segment.A3)
POSTERIOR = (Segment.P1, Segment.P2, Segment.P3)
PATCH_PX = 12
SPIRAL_THRESHOLDS = (0.0, 0.6, 0.8, 0.9, 0.95)
SPIRAL_EVERY = 3  # slices; the map is smooth over 8 mm


def vessel_figures(patients: Sequence[PhantomPatient]) -> Values:
    """Measure the arteries as the real trees were traced: medians over the patients."""
    rows = [_tree_figures(patient.anatomy.vessels) for patient in patients]
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


def stroke_figures(patients: Sequence[PhantomPatient]) -> Values:
    """Count regions, positives and clots over the patients."""
    labels = [patient.labels for patient in patients]
    by_region = np.sum([label.any(axis=0) for label in labels], axis=0)
    clots = [clot for patient in patients for clot in patient.clots]
    return {
        "regions with clot a patient": float(by_region.sum() / len(patients)),
        "slice x region positives, %": float(100 * np.mean([label.mean() for label in labels])),
        "rarest region against commonest": float(by_region.min() / max(by_region.max(), 1)),
        "patients without clot, %": float(
            100 * np.mean([not patient.clots for patient in patients])
        ),
        "clots in medium vessels, %": float(100 * np.mean([clot.is_medium for clot in clots])),
    }


def image_figures(patients: Sequence[PhantomPatient], *, slices: int = 12) -> Values:
    """Render some slices of each patient and measure HU and noise."""
    rows = [_voxel_figures(patient, slices) for patient in patients]
    names = {name for row in rows for name in row}
    return {
        name: float(np.median([row[name] for row in rows if name in row])) for name in sorted(names)
    }


def twin_figures(pairs: Sequence[tuple[PhantomPatient, PhantomPatient]]) -> Values:
    """Measure what a clot changes against its clot-free twin, a phase at a time."""
    changes: dict[int, list[Field]] = {1: [], 2: [], 3: []}
    behind: dict[int, list[int]] = {1: [], 2: [], 3: []}
    for patient, twin in pairs:
        for index in np.flatnonzero(patient.labels.any(axis=1))[::8]:
            first = patient.slice(int(index), spiral=False)
            second = twin.slice(int(index), spiral=False)
            for phase, values in changes.items():
                change = np.abs(first.phases[phase - 1] - second.phases[phase - 1])
                values.append(change[first.clot > 0])
                behind[phase].append(int(((change > CHANGE_HU) & (first.clot == 0)).sum()))
    figures: Values = {}
    for phase, values in changes.items():
        if values:
            name = f"change in the clot, phase {phase}, HU"
            figures[name] = float(np.median(np.concatenate(values)))
            figures[f"pixels changed beside it, phase {phase}"] = float(np.mean(behind[phase]))
    return figures


def spiral_figures(patients: Sequence[PhantomPatient]) -> Values:
    """Threshold the SPIRAL-like maps and score the regions found, per patient x region pair."""
    truth = np.array([patient.labels.any(axis=0) for patient in patients])
    highest = np.array([_highest_in_regions(patient) for patient in patients])
    figures: Values = {}
    for threshold in SPIRAL_THRESHOLDS:
        found = highest > threshold
        hits = float((found & truth).sum())
        figures[f"SPIRAL > {threshold:g}, precision"] = hits / max(float(found.sum()), 1.0)
        figures[f"SPIRAL > {threshold:g}, recall"] = hits / max(float(truth.sum()), 1.0)
    return figures


def _highest_in_regions(patient: PhantomPatient) -> Field:
    """Return the highest value of the map in each region, float32 [15]."""
    indices = range(0, patient.grid.shape[2], SPIRAL_EVERY)
    found = [spiral_of_regions(patient, index) for index in indices]
    return np.asarray(np.max(found, axis=0), np.float32)


def spiral_of_regions(patient: PhantomPatient, index: int) -> Field:
    """Return the highest value of the map in each region of one slice, float32 [15]."""
    spiral = patient.renderer.spiral(index)
    marked = spiral > 0
    highest = np.zeros(REGION_COUNT, np.float32)
    np.maximum.at(highest, patient.renderer.atlas(index)[marked], spiral[marked])
    return highest


def _tree_figures(graph: VesselGraph) -> Values:
    edges = graph.edges
    radius, length = graph.radius_mm[edges].mean(axis=1), graph.edge_lengths_mm()
    traced = (graph.segment[edges[:, 1]] < Segment.EXTERNAL) & (radius >= TRACED_RADIUS_MM)
    traced &= graph.points_mm[edges[:, 1], 2] > TRACED_ABOVE_Z_MM
    total = float(length[traced].sum())
    order = np.argsort(radius[traced])
    walked = np.cumsum(length[traced][order]) / total
    middle, widest = np.searchsorted(walked, (0.5, 0.9))
    trunk = trunk_of(graph)[edges[:, 1]]
    share = {
        name: float(length[traced & np.isin(trunk, group)].sum() / total)
        for name, group in (("MCA", MIDDLE), ("ACA", ANTERIOR), ("PCA", POSTERIOR))
    }
    return {
        "arterial centreline, m": total / 1000,
        "radius, median of the length, mm": float(radius[traced][order][middle]),
        "radius, 90 % of the length below, mm": float(radius[traced][order][widest]),
        **{f"length in the {name} territory, %": 100 * value for name, value in share.items()},
    }


def trunk_of(graph: VesselGraph) -> NDArray[np.int8]:
    """Return for each node the named vessel that it comes from, int8 [N] of `Segment`."""
    trunk = graph.segment.copy()
    for up, down in graph.edges.tolist():  # parents come before their children
        if down > up and graph.segment[down] == Segment.TWIG:
            trunk[down] = trunk[up]
    return trunk


def _voxel_figures(patient: PhantomPatient, slices: int) -> Values:
    """Collect samples of tissues, vessels and noise over some slices of one patient."""
    samples: dict[str, list[Field]] = {}
    noise: list[tuple[float, float]] = []
    for index in np.linspace(0.15, 0.85, slices) * (patient.grid.shape[2] - 1):
        rendered = patient.slice(int(index), spiral=False)
        masks = pure_masks(patient, int(index))
        for name, mask in masks.items():
            phases = (1, 2, 3) if name in {"arteries", "sinuses"} else (1,)
            for phase in phases:
                key = f"{name}, phase {phase}, HU" if len(phases) > 1 else f"{name}, HU"
                samples.setdefault(key, []).append(rendered.phases[phase - 1][mask])
        noise += _noise_in(rendered.phases[0], masks["white matter"])
    figures = {name: float(np.median(np.concatenate(parts))) for name, parts in samples.items()}
    if noise:
        sd, correlation = np.median(noise, axis=0)
        figures |= {"noise SD, HU": float(sd), "noise, neighbour correlation": float(correlation)}
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def _noise_in(plane: Field, mask: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return SD and neighbour correlation in each patch of pure tissue."""
    found = []
    rows, columns = plane.shape
    for row in range(0, rows - PATCH_PX, PATCH_PX):
        for column in range(0, columns - PATCH_PX, PATCH_PX):
            cut = (slice(row, row + PATCH_PX), slice(column, column + PATCH_PX))
            if mask[cut].all():
                patch = plane[cut] - _plane_through(plane[cut])
                variance = float(patch.var())
                neighbours = float((patch[:, 1:] * patch[:, :-1]).mean())
                found.append((float(np.sqrt(variance)), neighbours / variance))
    return found


def _plane_through(patch: Field) -> Field:
    """Return the plane that fits a patch best, to take slow changes of the tissue away."""
    ticks = np.arange(PATCH_PX) - (PATCH_PX - 1) / 2
    norm = PATCH_PX * np.square(ticks).sum()
    down = (patch * ticks[:, None]).sum() / norm
    right = (patch * ticks).sum() / norm
    return np.asarray(patch.mean() + down * ticks[:, None] + right * ticks, np.float32)
