# SPDX-License-Identifier: Apache-2.0
"""What a clot changes against the clot-free twin: projections by phase, and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aminet_benchmarks.phantom.patient import PHASES, PhantomPatient
from aminet_benchmarks.phantom.pictures.colours import (
    BRAIN_WINDOW_HU,
    CHANGE_HU,
    grey,
    with_change,
    with_clot,
)
from aminet_benchmarks.phantom.pictures.files import write_png
from aminet_benchmarks.phantom.pictures.views import head_box, thick_slice
from aminet_benchmarks.phantom.twins import Twins

Field = NDArray[np.float32]

BACKGROUND_DIMMING = 0.35  # so that the changes stand out
PICTURE_INCHES = 2.3


@dataclass(frozen=True, slots=True)
class Differences:
    """A patient less its clot-free twin.

    Attributes:
        seed: Seed of the patient.
        change: float32 [3, H, W], the largest change along each line from feet to vertex, with
            its sign.
        clot: bool [H, W], the clots seen from below.
        background: float32 [H, W], one slice of the patient in HU.
        head: Rows and columns around the head.
        voxels: Voxels compared, in all phases.
        changed: Voxels that differ in any phase.
        allowed: Voxels in or behind which flow names a difference.
        unexplained: Voxels that differ elsewhere; 0 if the clot does what flow says and no more.
    """

    seed: int
    change: Field
    clot: NDArray[np.bool_]
    background: Field
    head: tuple[slice, slice]
    voxels: int
    changed: int
    allowed: int
    unexplained: int

    def to_json(self) -> dict[str, int]:
        """Return the counts."""
        names = ("seed", "voxels", "changed", "allowed", "unexplained")
        return {name: int(getattr(self, name)) for name in names}


def compare_twins(patient: PhantomPatient, *, step: int) -> Differences:
    """Compare a patient with its clot-free twin, one slice in `step`."""
    columns, rows, count = patient.grid.shape
    twins = Twins(patient)
    change = np.zeros((len(PHASES), rows, columns), np.float32)
    clot = np.zeros((rows, columns), np.bool_)
    counts = np.zeros(4, np.int64)
    for index in range(0, count, step):
        one = twins.slice(index)
        stronger = np.abs(one.change) > np.abs(change)
        change[stronger] = one.change[stronger]
        clot |= patient.renderer.clot(index) > 0
        changed, allowed = (one.change != 0).any(axis=0), one.vessels | one.tissue
        counts += [rows * columns, changed.sum(), allowed.sum(), one.unexplained.sum()]
    level = thick_slice(patient)
    return Differences(
        seed=patient.seed,
        change=change,
        clot=clot,
        background=level.phases[0],
        head=head_box(patient, level.index),
        voxels=int(counts[0]),
        changed=int(counts[1]),
        allowed=int(counts[2]),
        unexplained=int(counts[3]),
    )


def draw_differences(found: Sequence[Differences], path: Path) -> None:
    """Write the maps of some patients, one a line and a phase a column, as a PNG."""
    size = (PICTURE_INCHES * len(PHASES), PICTURE_INCHES * 1.25 * len(found))
    figure = Figure(figsize=size, facecolor="black")
    axes = figure.subplots(
        len(found),
        len(PHASES),
        squeeze=False,
        gridspec_kw={"wspace": 0.02, "hspace": 0.12, "left": 0, "right": 1, "bottom": 0.01},
    )
    figure.subplots_adjust(top=1 - 0.45 / size[1])
    for line, one in zip(axes, found, strict=True):
        base = BACKGROUND_DIMMING * grey(one.background[one.head], BRAIN_WINDOW_HU)
        for axis, change in zip(line, one.change, strict=True):
            picture = with_clot(with_change(base, change[one.head]), one.clot[one.head])
            axis.imshow(np.clip(picture, 0, 1), interpolation="lanczos")
            axis.set_axis_off()
        line[0].set_title(_caption(one), color="silver", fontsize=7, loc="left", pad=3)
    heads = ("phase 1", "phase 2, +8 s", "phase 3, +16 s")
    for number, head in enumerate(heads):
        place = ((number + 0.5) / len(heads), 1 - 0.12 / size[1])
        figure.text(*place, head, color="white", fontsize=8, ha="center", va="center")
    write_png(figure, path)


def _caption(one: Differences) -> str:
    return (
        f"seed {one.seed}: loss blue, gain red, full at {CHANGE_HU:.0f} HU; "
        f"{one.changed:,} voxels differ, {one.unexplained} of them unexplained"
    )
