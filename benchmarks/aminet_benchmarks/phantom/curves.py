# SPDX-License-Identifier: Apache-2.0
"""Smooth curves through control points, with the winding of real vessels."""

import numpy as np
from numpy.typing import NDArray

Path = NDArray[np.float32]


def spline(control_mm: NDArray[np.float64], *, step_mm: float) -> Path:
    """Return a Catmull-Rom curve through control points [N, 3], about evenly stepped."""
    padded = np.vstack([2 * control_mm[0] - control_mm[1], control_mm])
    padded = np.vstack([padded, 2 * control_mm[-1] - control_mm[-2]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2)
            + 0.5 * (3 * b - a - 3 * c + d) * t**3
        )
    return resample(np.vstack([*pieces, control_mm[-1:]]), step_mm=step_mm)


def resample(path_mm: NDArray[np.float64], *, step_mm: float) -> Path:
    """Return the polyline [N, 3] with points about `step_mm` apart, both ends kept."""
    walked = _arc_length(path_mm)
    count = max(2, int(np.ceil(walked[-1] / step_mm)) + 1)
    stops = np.linspace(0, walked[-1], count)
    return np.stack([np.interp(stops, walked, path_mm[:, k]) for k in range(3)], 1).astype("f4")


def wind(
    path_mm: Path, rng: np.random.Generator, *, amplitude_mm: float, wavelength_mm: float
) -> Path:
    """Let a path wind sideways, its ends fixed."""
    walked = _arc_length(path_mm)
    count = max(2, int(walked[-1] / wavelength_mm * 2) + 2)
    knots = np.linspace(0, walked[-1], count)
    offsets = rng.normal(0, amplitude_mm, (count, 3))
    offsets[[0, -1]] = 0
    t = np.clip(walked / max(walked[-1], 1e-6) * (count - 1), 0, count - 1 - 1e-6)
    k = t.astype(int)
    s = t - k
    s = (s * s * (3 - 2 * s))[:, None]
    del knots
    return (path_mm + offsets[k] * (1 - s) + offsets[k + 1] * s).astype("f4")


def _arc_length(path_mm: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path_mm, axis=0), axis=1))])
