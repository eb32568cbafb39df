# SPDX-License-Identifier: Apache-2.0
"""The sheet: some patients, one a line, as a radiologist would look at them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aminet_benchmarks.phantom.atlas import REGION_NAMES
from aminet_benchmarks.phantom.patient import PhantomPatient
from aminet_benchmarks.phantom.pictures.colours import (
    BRAIN_WINDOW_HU,
    MIP_WINDOW_HU,
    Picture,
    grey,
    with_clot,
    with_map,
    with_regions,
)
from aminet_benchmarks.phantom.pictures.files import write_png
from aminet_benchmarks.phantom.pictures.views import Views, views_of

COLUMNS = (
    "phase 1, axial MIP",
    "phase 2, +8 s",
    "phase 3, +16 s",
    "phase 1, coronal MIP",
    "clot (red) on phase 1",
    "atlas on phase 2",
    "SPIRAL-like map",
)
LINE_INCHES = 1.83
COLUMN_INCHES = 1.5


def draw_sheet(
    patients: Sequence[PhantomPatient], path: Path, *, on_progress: Callable[[int, int], None]
) -> None:
    """Write the sheet of some patients as a PNG."""
    width, height = COLUMN_INCHES * len(COLUMNS), LINE_INCHES * len(patients) + 0.2
    figure = Figure(figsize=(width, height), facecolor="black")
    axes = figure.subplots(
        len(patients),
        len(COLUMNS),
        squeeze=False,
        gridspec_kw={"wspace": 0.02, "hspace": 0.14, "left": 0, "right": 1, "bottom": 0.005},
    )
    figure.subplots_adjust(top=1 - 0.34 / height)
    for done, (line, patient) in enumerate(zip(axes, patients, strict=True), start=1):
        views = views_of(patient)
        for axis, picture in zip(line, _pictures(views), strict=True):
            aspect = views.coronal_step_mm / views.pixel_mm if axis is line[3] else 1.0
            axis.imshow(np.clip(picture, 0, 1), aspect=aspect, interpolation="lanczos")
        line[0].set_title(_caption(patient), color="silver", fontsize=6, loc="left", pad=2)
        on_progress(done, len(patients))
    for axis in axes.ravel():
        axis.set_axis_off()
    for column, title in enumerate(COLUMNS):
        place = ((column + 0.5) / len(COLUMNS), 1 - 0.13 / height)
        figure.text(*place, title, color="white", fontsize=7, ha="center", va="center")
    write_png(figure, path)


def _pictures(views: Views) -> tuple[Picture, ...]:
    rows, columns = views.head
    axial = [grey(mip[rows, columns], MIP_WINDOW_HU) for mip in views.axial]
    plane = views.level.phases[0][rows, columns]
    brain = grey(plane, BRAIN_WINDOW_HU)
    spiral = views.level.spiral
    slab = grey(views.clot_slab[rows, columns], MIP_WINDOW_HU)
    return (
        *axial,
        grey(views.coronal[:, columns], MIP_WINDOW_HU),
        with_clot(slab, views.clot[rows, columns]),
        with_regions(brain, views.level.atlas[rows, columns]),
        brain if spiral is None else with_map(brain, spiral[rows, columns]),
    )


def _caption(patient: PhantomPatient) -> str:
    sides = {1: "right ", -1: "left ", 0: ""}
    clots = ", ".join(f"{sides[clot.side]}{clot.place}" for clot in patient.clots)
    grades = sorted({clot.collateral_grade for clot in patient.clots})
    hit = [REGION_NAMES[region] for region in np.flatnonzero(patient.labels.any(axis=0))]
    stroke = f"clot: {clots}; collaterals {grades[0]}; regions: {', '.join(hit)}" if clots else ""
    head = f"   {patient.group}" if patient.group else ""
    return f"seed {patient.seed}{head}   {stroke or 'no clot'}"
