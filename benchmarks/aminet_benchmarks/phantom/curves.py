# SPDX-License-Identifier: Apache-2.0
"""Smooth curves through control points, with the winding of real vessels."""

import numpy as np
from numpy.typing import NDArray

Path = NDArray[np.float32]

SAMPLES_PER_SPAN = 12  # before the curve is stepped evenly


def spline(control_mm: NDArray[np.float64], *, step_mm: float) -> Path:
    """Return a Catmull-Rom curve through control points [N, 3], about evenly stepped."""
    before = 2 * control_mm[0] - control_mm[1]
    after = 2 * control_mm[-1] - control_mm[-2]
    padded = np.vstack([before, control_mm, after])
    t = np.linspace(0, 1, SAMPLES_PER_SPAN, endpoint=False)[:, None]
    spans = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2)
        + 0.5 * (3 * b - a - 3 * c + d) * t**3
        for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True)
    ]
    return resample(np.vstack([*spans, control_mm[-1:]]), step_mm=step_mm)


def resample(path_mm: NDArray[np.float64], *, step_mm: float) -> Path:
    """Return the polyline [N, 3] with points about `step_mm` apart, both ends kept."""
    walked = _arc_length_mm(path_mm)
    count = max(2, int(np.ceil(walked[-1] / step_mm)) + 1)
    stops = np.linspace(0, walked[-1], count)
    columns = [np.interp(stops, walked, path_mm[:, axis]) for axis in range(3)]
    return np.stack(columns, axis=1).astype(np.float32)


def wind(
    path_mm: Path, rng: np.random.Generator, *, amplitude_mm: float, wavelength_mm: float
) -> Path:
    """Let a path wind sideways, its ends fixed."""
    walked = _arc_length_mm(path_mm)
    count = max(2, int(walked[-1] / wavelength_mm * 2) + 2)
    offsets = rng.normal(0, amplitude_mm, (count, 3))
    offsets[[0, -1]] = 0
    t = np.clip(walked / max(walked[-1], 1e-6) * (count - 1), 0, count - 1 - 1e-6)
    knot = t.astype(int)
    ease = t - knot
    ease = (ease * ease * (3 - 2 * ease))[:, None]
    wound = path_mm + offsets[knot] * (1 - ease) + offsets[knot + 1] * ease
    return np.asarray(wound, np.float32)


def _arc_length_mm(path_mm: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the length walked up to each point, [N], starting with 0."""
    steps = np.linalg.norm(np.diff(path_mm, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])
