# SPDX-License-Identifier: Apache-2.0
"""Windows, and colours of regions, maps and clots: everything becomes RGB 0..1."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from aminet_benchmarks.phantom.atlas import REGION_MIRROR
from aminet_runtime.regions import REGION_COUNT

Field = NDArray[np.float32]
Picture = NDArray[np.float32]

MIP_WINDOW_HU = (40.0, 420.0)
BRAIN_WINDOW_HU = (0.0, 90.0)
CHANGE_HU = 200.0  # that is fully red or blue
CLOT_RGB = (1.0, 0.15, 0.1)
OVERLAY = 0.45  # opacity of a colour over a slice


def grey(hu: Field, window_hu: tuple[float, float]) -> Picture:
    """Return a plane [H, W] of HU in grey, [H, W, 3]."""
    low, high = window_hu
    level = np.clip((hu - low) / (high - low), 0, 1)
    return np.repeat(level[..., None], 3, axis=2).astype(np.float32)


def with_regions(picture: Picture, atlas: NDArray[np.uint8]) -> Picture:
    """Lay the regions over a picture; the two sides of a territory share a hue."""
    tint = np.where(atlas[..., None] > 0, _region_colours()[atlas], picture)
    return np.asarray(picture + OVERLAY * (tint - picture), np.float32)


def with_map(picture: Picture, spiral: Field) -> Picture:
    """Lay a SPIRAL-like map of 0.5..1 over a picture, from yellow to red."""
    hot = colormaps["autumn_r"](np.clip((spiral - 0.5) * 2, 0, 1))[..., :3]
    return np.where(spiral[..., None] > 0, 0.3 * picture + 0.7 * hot, picture).astype(np.float32)


def with_clot(picture: Picture, clot: NDArray[np.bool_]) -> Picture:
    """Paint the clot over a picture, a pixel wider than it is, to be seen."""
    wider = binary_dilation(clot)
    return np.where(wider[..., None], np.array(CLOT_RGB, np.float32), picture).astype(np.float32)


def with_change(picture: Picture, change_hu: Field) -> Picture:
    """Lay losses of HU in blue and gains in red over a picture."""
    strength = np.clip(np.abs(change_hu) / CHANGE_HU, 0, 1)[..., None]
    sign = np.where(change_hu[..., None] < 0, (0.15, 0.55, 1.0), (1.0, 0.3, 0.1))
    return np.asarray(picture + np.sqrt(strength) * (sign - picture), np.float32)


def _region_colours() -> NDArray[np.float32]:
    """Return RGB of each region: a hue a territory, the left side a shade darker."""
    hues = colormaps["tab10"](np.arange(REGION_COUNT // 2))[:, :3]
    colours = np.zeros((REGION_COUNT, 3), np.float32)
    for region in range(1, REGION_COUNT):
        is_left = REGION_MIRROR[region] < region
        colours[region] = hues[(region - 1) // 2] * (0.65 if is_left else 1.0)
    return colours
