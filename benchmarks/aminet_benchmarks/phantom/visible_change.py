# SPDX-License-Identifier: Apache-2.0
"""The signal: how many pixels of a slice a clot changes, by phase and region, before training.

A network sees about a millimetre a pixel. A pixel counts where a patient differs by more than
25 HU from its clot-free twin; the noise of both is the same and drops out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.atlas import REGION_NAMES
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.patient import PHASES, make_patient
from aminet_benchmarks.phantom.twins import Twins
from aminet_runtime.regions import REGION_COUNT

Field = NDArray[np.float32]
Counts = NDArray[np.int32]
Progress = Callable[[int, int], None]

PIXEL_MM = 1.0
CHANGE_HU = 25.0  # more than this is seen
SLICE_STEP = 4  # neighbouring slices show the same
SEED = 930_000  # of the first patient
WHOLE_SLICE = "whole slice"
ROWS = (*REGION_NAMES, WHOLE_SLICE)


@dataclass(frozen=True, slots=True)
class ChangedPixels:
    """What the clots of one patient change.

    Attributes:
        counts: int32 [S, 3, 16], changed pixels in each slice, phase and region; the last
            column is the whole slice.
        positive: bool [S, 16], whether the slice holds clot in the region.
        present: bool [S, 16], whether the slice meets the region.
    """

    counts: Counts
    positive: NDArray[np.bool_]
    present: NDArray[np.bool_]


Signal = dict[str, dict[str, dict[str, float]]]


def measure_signal(patients: int, config: PhantomConfig, *, on_progress: Progress) -> Signal:
    """Measure new patients.

    Returns:
        By region and phase, the pixels that change on `positive` and on `negative` slices of the
        region: the median over the patients of the mean over a patient's slices; under `patients`
        how many had any positive slice.
    """
    found = []
    for number in range(patients):
        found.append(changed_pixels(Twins(make_patient(SEED + number, config))))
        on_progress(number + 1, patients)
    return summarise(found)


def changed_pixels(twins: Twins) -> ChangedPixels:
    """Compare a patient with its twin, a slice in four."""
    grid = twins.patient.grid
    labels = twins.patient.labels > 0
    counts, positive, present = [], [], []
    for index in range(0, grid.shape[2], SLICE_STEP):
        change = to_pixels(twins.slice(index).change, grid.spacing_mm[0], PIXEL_MM)
        changed = np.abs(change) > CHANGE_HU
        region = nearest_pixels(twins.patient.renderer.atlas(index), grid.spacing_mm[0], PIXEL_MM)
        by_region = [np.bincount(region[plane], minlength=REGION_COUNT) for plane in changed]
        counts.append(np.column_stack([by_region, changed.sum(axis=(1, 2))]))
        positive.append([*labels[index], labels[index].any()])
        present.append([*(np.bincount(region.ravel(), minlength=REGION_COUNT) > 0), True])
    return ChangedPixels(np.array(counts, np.int32), np.array(positive), np.array(present))


def to_pixels(planes: Field, pixel_mm: float, wanted_mm: float) -> Field:
    """Resample planes [P, H, W] to wider pixels by averaging over their area."""
    down = _area_weights(planes.shape[1], pixel_mm, wanted_mm)
    right = _area_weights(planes.shape[2], pixel_mm, wanted_mm)
    return np.asarray(down @ planes @ right.T, np.float32)


def nearest_pixels(
    plane: NDArray[np.uint8], pixel_mm: float, wanted_mm: float
) -> NDArray[np.uint8]:
    """Resample labels [H, W] to the same wider pixels, each with the label at its middle."""
    picks = [
        ((np.arange(int(length * pixel_mm / wanted_mm)) + 0.5) * wanted_mm / pixel_mm).astype(int)
        for length in plane.shape
    ]
    return np.asarray(plane[np.ix_(*picks)], np.uint8)


def _area_weights(length: int, pixel_mm: float, wanted_mm: float) -> Field:
    """Return how much of each pixel lies in each wider one, [wide, length], lines of sum 1."""
    count = int(length * pixel_mm / wanted_mm)
    edges = np.arange(length + 1) * pixel_mm
    low = np.arange(count)[:, None] * wanted_mm
    overlap = np.minimum(edges[1:], low + wanted_mm) - np.maximum(edges[:-1], low)
    return np.asarray(np.clip(overlap, 0, None) / wanted_mm, np.float32)


def summarise(found: Sequence[ChangedPixels]) -> Signal:
    """Take the median over patients of the mean over each patient's slices."""
    signal: Signal = {}
    for column, name in enumerate(ROWS):
        signal[name] = {}
        for phase in PHASES:
            positive = _means(found, column, phase, clot=True)
            negative = _means(found, column, phase, clot=False)
            signal[name][f"phase {phase}"] = {
                "patients": float(len(positive)),
                "positive": float(np.median(positive)) if positive else 0.0,
                "negative": float(np.median(negative)) if negative else 0.0,
            }
    return signal


def _means(found: Sequence[ChangedPixels], column: int, phase: int, *, clot: bool) -> list[float]:
    """Return the mean count of each patient that has such slices."""
    means = []
    for patient in found:
        chosen = patient.present[:, column] & (patient.positive[:, column] == clot)
        if chosen.any():
            means.append(float(patient.counts[chosen, phase - 1, column].mean()))
    return means


def signal_table(signal: Signal) -> str:
    """Return the figures as a Markdown table, one region a line."""
    heads = [f"phase {phase}, {kind}" for phase in PHASES for kind in ("positive", "negative")]
    lines = [f"| region | patients | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for name, phases in signal.items():
        cells = [
            f"{phases[f'phase {phase}'][kind]:.1f}"
            for phase in PHASES
            for kind in ("positive", "negative")
        ]
        patients = phases["phase 1"]["patients"]
        lines.append(f"| {name} | {patients:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
