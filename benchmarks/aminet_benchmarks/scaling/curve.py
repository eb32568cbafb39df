# SPDX-License-Identifier: Apache-2.0
"""Points of a curve, and the exponent through them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

FEWEST_POINTS = 3
"""Two points fit any exponent; the text then says a ratio instead."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.

    Attributes:
        size: Along the axis of the curve.
        wall_s: Median of the rounds, undisturbed by other work as far as that can be told.
        peak_rss_mib: Of all processes together; None where it was not looked at.
        items: How many things were done in that time, for the throughput.
    """

    size: int
    wall_s: float
    peak_rss_mib: float | None
    items: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Points along one axis.

    Attributes:
        name: What grows, such as `slices of a patient`.
        item: What `items` counts, in the plural.
        points: By size, rising.
    """

    name: str
    item: str
    points: tuple[Point, ...]

    @property
    def time_exponent(self) -> float | None:
        """Exponent of time against size; None for too few points."""
        return exponent([(point.size, point.wall_s) for point in self.points])

    @property
    def memory_exponent(self) -> float | None:
        """The same of memory; None, too, where it was not looked at."""
        peaks = [
            (one.size, one.peak_rss_mib) for one in self.points if one.peak_rss_mib is not None
        ]
        return exponent(peaks)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "item": self.item,
            "time_exponent": self.time_exponent,
            "memory_exponent": self.memory_exponent,
            "points": [asdict(point) for point in self.points],
        }


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """Fit y = a * x ** b by least squares of the logarithms.

    Args:
        points: x and y, all above 0.

    Returns:
        b; None for fewer than three points.
    """
    if len(points) < FEWEST_POINTS:
        return None
    logs = np.log(np.array(points, np.float64))
    slope, _offset = np.polyfit(logs[:, 0], logs[:, 1], 1)
    return float(slope)


def curve_table(curve: Curve) -> str:
    """Return a Markdown table, a row a point, and the exponents below it."""
    lines = [
        f"| {curve.name} | time, s | {curve.item} a second | peak RSS, MiB |",
        "|---|---|---|---|",
    ]
    for point in curve.points:
        peak = "" if point.peak_rss_mib is None else f"{point.peak_rss_mib:.0f}"
        rate = point.items / point.wall_s
        lines.append(f"| {point.size} | {point.wall_s:.3g} | {rate:.3g} | {peak} |")
    return "\n".join([*lines, "", _growth(curve)])


def _growth(curve: Curve) -> str:
    first, last = curve.points[0], curve.points[-1]
    times = last.wall_s / first.wall_s
    text = f"{last.size / first.size:.3g} times as large: {times:.2f} times the time"
    if curve.time_exponent is not None:
        text += f", exponent {curve.time_exponent:.2f}"
    if first.peak_rss_mib and last.peak_rss_mib:
        text += f"; {last.peak_rss_mib / first.peak_rss_mib:.2f} times the memory"
        if curve.memory_exponent is not None:
            text += f", exponent {curve.memory_exponent:.2f}"
    return f"{text}."


def median_point(points: Sequence[Point]) -> Point:
    """Return the medians of points of one size."""
    peaks = [point.peak_rss_mib for point in points if point.peak_rss_mib is not None]
    return Point(
        points[0].size,
        float(np.median([point.wall_s for point in points])),
        float(np.median(peaks)) if peaks else None,
        points[0].items,
    )
