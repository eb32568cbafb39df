# SPDX-License-Identifier: Apache-2.0
"""Plots as PNG: precision against recall, reliability, learning curves, trials of a search.

Colours are those of Okabe and Ito, which people with colour blindness can tell apart, and lines
differ in their dashes, too. matplotlib is used without its global state: no window, no pyplot.
Source: Okabe and Ito, Color universal design, 2008.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from aminet_train.judging.curves import PrecisionRecallCurve, ReliabilityBin
from aminet_train.levels import Level

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 130
F1_LINES = (0.2, 0.4, 0.6, 0.8)
INK = "0.45"


def precision_recall_plot(
    curves: Mapping[Level, Mapping[str, PrecisionRecallCurve]],
    points: Mapping[Level, Mapping[str, tuple[float, float]]],
    *,
    title: str,
) -> bytes:
    """Draw precision against recall, one panel a level, one line a model.

    Args:
        curves: Level to model to its curve.
        points: Level to model to (recall, precision) at its own thresholds.
        title: Above the panels.

    Returns:
        A PNG.
    """
    figure = _figure(title, panels=len(curves))
    for axes, (level, lines) in zip(figure.axes, curves.items(), strict=True):
        _draw_f1_lines(axes)
        for number, (label, curve) in enumerate(lines.items()):
            style = _line_style(number)
            axes.step(curve.recall, curve.precision, where="pre", label=label, **style)
            axes.plot(*points[level][label], **_point_style(number))
        _unit_square(axes, "recall", "precision", f"{level} level")
        axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    figure.supxlabel("marked: where the model's own thresholds are; grey: equal F1", fontsize=8)
    return png_of(figure)


def reliability_plot(
    bins: Mapping[Level, Mapping[str, Sequence[ReliabilityBin]]], *, title: str
) -> bytes:
    """Draw how often a score comes true, one panel a level, one line a model.

    Args:
        bins: Level to model to its bins; empty bins are left out.
        title: Above the panels.

    Returns:
        A PNG.
    """
    figure = _figure(title, panels=len(bins))
    for axes, (level, lines) in zip(figure.axes, bins.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
        for number, (label, model_bins) in enumerate(lines.items()):
            filled = [one for one in model_bins if one.pairs]
            scores = [one.mean_score for one in filled]
            shares = [one.true_share for one in filled]
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(scores, shares, label=label, marker=marker, **_line_style(number))
        _unit_square(axes, "mean score in the bin", "share of true pairs", f"{level} level")
        axes.legend(loc="upper left", fontsize=8, framealpha=0.9)
    figure.supxlabel("on the grey line a score of .7 comes true in 70 % of the pairs", fontsize=8)
    return png_of(figure)


def learning_plot(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, metric: str, title: str
) -> bytes:
    """Draw a metric over epochs, one line a trial; the best one stands out.

    Args:
        curves: Trial to (epochs, values).
        metric: Name of the values.
        title: Above the plot.

    Returns:
        A PNG.
    """
    figure = _figure(title, panels=1)
    axes = figure.axes[0]
    best = max(curves, key=lambda name: max(curves[name][1], default=-1.0), default=None)
    for name, (epochs, values) in curves.items():
        if name != best:
            axes.plot(epochs, values, color=COLOURS[5], linewidth=0.9, marker=".", alpha=0.7)
    if best is not None:
        epochs, values = curves[best]
        axes.plot(epochs, values, color=COLOURS[1], linewidth=2, marker="o", label=f"best: {best}")
        axes.legend(loc="lower right", fontsize=8)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(metric)
    axes.grid(visible=True, alpha=0.25)
    return png_of(figure)


def trials_plot(
    parameters: Mapping[str, Sequence[Any]],
    values: Sequence[float],
    *,
    metric: str,
    logarithmic: Sequence[str],
    title: str,
) -> bytes:
    """Draw a metric against each hyperparameter, one panel each, one point a trial.

    Args:
        parameters: Name to its value in each trial; texts are drawn as categories.
        values: The metric of each trial.
        metric: Its name.
        logarithmic: Parameters with a logarithmic axis.
        title: Above the panels.

    Returns:
        A PNG.
    """
    figure = _figure(title, panels=max(len(parameters), 1), columns=4)
    best = int(np.argmax(values)) if values else None
    for axes, (name, settings) in zip(figure.axes, parameters.items(), strict=False):
        places, ticks = _places(settings)
        axes.scatter(places, values, color=COLOURS[0], s=22, alpha=0.8)
        if best is not None:
            axes.scatter(places[best], values[best], color=COLOURS[1], s=60, marker="D")
        if ticks is not None:
            axes.set_xticks(range(len(ticks)), ticks)
            axes.set_xlim(-0.5, len(ticks) - 0.5)
        elif name in logarithmic:
            _logarithmic(axes)
        axes.set_xlabel(name.rpartition(".")[2].replace("_", " "))
        axes.set_ylabel(metric)
        axes.grid(visible=True, alpha=0.25)
    for axes in figure.axes[len(parameters) :]:
        axes.set_visible(False)
    figure.supxlabel("diamond: the best trial", fontsize=8)
    return png_of(figure)


def _logarithmic(axes: Any) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _places(settings: Sequence[Any]) -> tuple[Sequence[float], list[str] | None]:
    """Turn choices into places on an axis; numbers of many values are places themselves."""
    distinct = sorted(set(settings), key=lambda one: (isinstance(one, str), one))
    if all(isinstance(one, float) for one in settings):
        return list(settings), None
    return [distinct.index(one) for one in settings], [str(one) for one in distinct]


def _figure(title: str, *, panels: int, columns: int = 2) -> Figure:
    across = min(panels, columns)
    down = -(-panels // across)
    figure = Figure(figsize=(max(4.6 * across, 6.0), 4.3 * down + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(down, across)
    figure.suptitle(title, fontsize=11)
    return figure


def _line_style(number: int) -> dict[str, Any]:
    colour = COLOURS[number % len(COLOURS)]
    return {"color": colour, "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.5}


def _point_style(number: int) -> dict[str, Any]:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    return {"color": colour, "marker": marker, "markersize": 8, "markeredgecolor": "white"}


def _draw_f1_lines(axes: Any) -> None:
    for f1 in F1_LINES:
        recall: NDArray[np.float64] = np.linspace(f1 / (2 - f1), 1, 100)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color="0.8", linewidth=0.8)
        axes.annotate(f"F1 {f1:g}", (1.0, f1 / (2 - f1)), fontsize=7, color=INK, ha="right")


def _unit_square(axes: Any, across: str, up: str, title: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title(title, fontsize=10)
    axes.grid(visible=True, alpha=0.25)


def png_of(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
