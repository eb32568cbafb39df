# SPDX-License-Identifier: Apache-2.0
"""Decisions of a model as pictures: what it found, what it flagged in vain, what it missed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.judging.answers import affected_regions
from aminet_train.judging.candidates import Candidate
from aminet_train.judging.evaluation import Judged
from aminet_train.judging.plots import COLOURS, png_of

SHOWN = 4
"""Examples of each sort that are shown."""

CLOT_COLOUR = "#E69F00"


class Outcome(StrEnum):
    """How a (patient, region) pair was decided."""

    FOUND = "found"
    IN_VAIN = "flagged in vain"
    MISSED = "missed"


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One (patient, region) pair with a clot or a flag.

    Attributes:
        patient: Who.
        region: Which region.
        outcome: How it was decided.
        score: Of the region, for the patient.
        slice_number: The slice that speaks for it: the one with the highest score if it was
            flagged, the one with most clot if it was missed.
    """

    patient: PreparedPatient
    region: int
    outcome: Outcome
    score: float
    slice_number: int


def worst_mistakes(judged: Judged, *, count: int = SHOWN) -> list[Example]:
    """Find the flags in vain with the highest and the misses with the lowest scores.

    Returns:
        At most `count` of each, flags in vain first.
    """
    examples = list(_examples(judged))
    false_flags = [one for one in examples if one.outcome is Outcome.IN_VAIN]
    misses = [one for one in examples if one.outcome is Outcome.MISSED]
    false_flags.sort(key=lambda one: -one.score)
    misses.sort(key=lambda one: one.score)
    return [*false_flags[:count], *misses[:count]]


def some_hits(judged: Judged, *, count: int = SHOWN) -> list[Example]:
    """Take found regions at equal steps, from the highest score to the lowest that was enough.

    Returns:
        At most `count`.
    """
    hits = [one for one in _examples(judged) if one.outcome is Outcome.FOUND]
    hits.sort(key=lambda one: -one.score)
    steps = np.linspace(0, len(hits) - 1, min(count, len(hits))).round().astype(int)
    return [hits[step] for step in steps.tolist()]


def _examples(judged: Judged) -> Iterator[Example]:
    for patient, answer in zip(judged.patients, judged.ordered(), strict=True):
        affected = affected_regions(patient.labels_here)
        for region in np.flatnonzero(answer.region_flags | affected).tolist():
            outcome = _outcome(flagged=answer.region_flags[region], affected=affected[region])
            is_missed = outcome is Outcome.MISSED
            ranking = _clot_size(patient, region) if is_missed else answer.slice_scores[:, region]
            number = int(patient.slices[int(np.argmax(ranking))])
            yield Example(patient, region, outcome, float(answer.region_scores[region]), number)


def _outcome(*, flagged: np.bool_, affected: np.bool_) -> Outcome:
    if not flagged:
        return Outcome.MISSED
    return Outcome.FOUND if affected else Outcome.IN_VAIN


def examples_picture(
    candidate: Candidate, examples: Sequence[Example], *, title: str
) -> bytes | None:
    """Draw the cached slice of each example, the evidence of its region on top.

    Evidence is drawn in blue from half-way between its median and its highest value in the slice;
    the cells that hold clot of the region are outlined.

    Returns:
        A PNG, or None where the cohort holds none of these images.
    """
    shown = [one for one in examples if one.slice_number in one.patient.kept]
    if not shown:
        return None
    across = min(len(shown), SHOWN)
    down = -(-len(shown) // across)
    figure = Figure(figsize=(3.3 * across, 3.9 * down + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(down, across)).reshape(-1)
    for axes, example in zip(panels, shown, strict=False):
        _draw(axes, candidate, example)
    for axes in panels:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(
        "blue: the model's evidence for the region; orange: cells with its clot", fontsize=8
    )
    return png_of(figure)


def _draw(axes: Any, candidate: Candidate, example: Example) -> None:
    patient, number = example.patient, example.slice_number
    image = patient.images()[int(np.searchsorted(patient.kept, number))][0]
    height, width = image.shape
    extent = (0, width, height, 0)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent)
    evidence = candidate.evidence(patient, number)
    if evidence is not None:
        axes.imshow(_overlay(evidence[example.region]), extent=extent, interpolation="bilinear")
    cells = _clot_cells(patient, example.region)[number]
    high, wide = height / cells.shape[0], width / cells.shape[1]
    for row, column in np.argwhere(cells).tolist():
        axes.add_patch(_cell_outline(row, column, high=high, wide=wide))
    name = candidate.regions.names[example.region]
    axes.set_title(
        f"{example.outcome}: {name}\n"
        f"{patient.patient_id}, slice {number}, score {example.score:.2f}",
        fontsize=8,
    )


def _cell_outline(row: int, column: int, *, high: float, wide: float) -> Rectangle:
    return Rectangle(
        (column * wide, row * high), wide, high, fill=False, edgecolor=CLOT_COLOUR, linewidth=1.2
    )


def _overlay(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn a map [h, w] into colours with transparency [h, w, 4]."""
    ground = float(np.median(evidence))
    height = max(float(evidence.max()) - ground, 1e-6)
    strength = np.clip((evidence - ground) / height * 2 - 1, 0, 1)
    colour = [int(COLOURS[5][place : place + 2], 16) / 255 for place in (1, 3, 5)]
    overlay = np.empty((*evidence.shape, 4), np.float32)
    overlay[..., :3] = colour
    overlay[..., 3] = 0.55 * strength
    return overlay


def _clot_cells(patient: PreparedPatient, region: int) -> NDArray[np.bool_]:
    """Return bool [Z, gh, gw] of one region."""
    return (patient.truth.clot_cells >> region & 1).astype(bool)


def _clot_size(patient: PreparedPatient, region: int) -> NDArray[np.int64]:
    """Return the number of cells with clot of one region in each slice of the split, [m]."""
    sizes: NDArray[np.int64] = _clot_cells(patient, region)[patient.slices].sum(axis=(1, 2))
    return sizes
