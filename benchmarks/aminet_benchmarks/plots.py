# SPDX-License-Identifier: Apache-2.0
"""Plots as PNG on logarithmic axes: ways by time and memory, and both against size."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from aminet_benchmarks.scaling.curve import Curve
from aminet_train.judging.plots import COLOURS, INK, MARKERS, png_of

Point = tuple[float, float]
SCALING_COLUMNS = 3


def time_and_memory_plot(ways: Mapping[str, Point], *, floor_s: float, title: str) -> bytes:
    """Draw each way at its wall time and its peak memory.

    Args:
        ways: Label to (wall in s, peak RSS in MiB); the first stands out.
        floor_s: Drawn as a line.
        title: Above the plot.

    Returns:
        A PNG.
    """
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.axvline(floor_s, color=INK, linestyle="--", linewidth=1)
    for number, (label, (wall_s, rss_mib)) in enumerate(ways.items()):
        axes.plot(
            wall_s,
            rss_mib,
            linestyle="",
            marker=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=13 if number == 0 else 9,
            markeredgecolor="white",
            label=f"{label}: {wall_s:.2f} s, {rss_mib:.0f} MiB",
        )
    walls = [floor_s, *(wall for wall, _ in ways.values())]
    sizes = [rss for _, rss in ways.values()]
    axes.set_xlim(min(walls) / 1.4, max(walls) * 1.4)
    axes.set_ylim(min(sizes) / 1.5, max(sizes) * 1.5)
    axes.annotate(
        f"floor {floor_s:.2f} s",
        (floor_s, max(sizes) * 1.4),
        xytext=(4, -2),
        textcoords="offset points",
        fontsize=8,
        color=INK,
        va="top",
    )
    _logarithmic(axes)
    axes.set_xlabel("wall time of a patient, s")
    axes.set_ylabel("peak memory, MiB")
    axes.set_title(title, fontsize=10)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    return png_of(figure)


def scaling_plot(curves: Sequence[Curve], *, title: str) -> bytes:
    """Draw time and, where it was looked at, memory of each curve, a panel a curve.

    Args:
        curves: At least one.
        title: Above the panels.

    Returns:
        A PNG.
    """
    columns = min(len(curves), SCALING_COLUMNS)
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, curve in zip(panels, curves, strict=False):
        _draw_curve(axes, curve)
    for axes in panels[len(curves) :]:
        axes.remove()
    figure.suptitle(title, fontsize=10)
    return png_of(figure)


def _draw_curve(axes: Any, curve: Curve) -> None:
    sizes = [point.size for point in curve.points]
    times = [point.wall_s for point in curve.points]
    peaks = [point.peak_rss_mib for point in curve.points if point.peak_rss_mib is not None]
    label = _with_exponent("time, s", curve.time_exponent)
    axes.plot(sizes, times, "-", marker=MARKERS[0], color=COLOURS[0], label=label)
    if peaks:
        label = _with_exponent("peak memory, MiB", curve.memory_exponent)
        axes.plot(sizes, peaks, "--", marker=MARKERS[1], color=COLOURS[1], label=label)
    _logarithmic(axes)
    axes.set_xticks(sizes)
    axes.set_xlabel(curve.name)
    axes.legend(fontsize=8, frameon=False)


def _with_exponent(label: str, exponent: float | None) -> str:
    return label if exponent is None else f"{label}: exponent {exponent:.2f}"


def _logarithmic(axes: Any) -> None:
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale("log")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, alpha=0.25)
