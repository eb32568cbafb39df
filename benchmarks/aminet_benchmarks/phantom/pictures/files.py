# SPDX-License-Identifier: Apache-2.0
"""A figure as a small PNG: a palette is enough for grey slices with overlays."""

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from aminet_runtime.publish import write_whole

DOTS_PER_INCH = 115
GREYS = 80
COLOURS = 112
COLOURED = 16  # difference of the channels, of 255, from which a pixel is not grey


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure on black as a PNG with a palette.

    Raises:
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    drawn, packed = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", facecolor="black", dpi=DOTS_PER_INCH)
    with Image.open(drawn) as picture:
        pixels = picture.convert("RGB")
    small = pixels.quantize(palette=_palette(np.asarray(pixels)), dither=Image.Dither.NONE)
    small.save(packed, format="PNG", optimize=True)
    write_whole(path, packed.getvalue())


def _palette(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return even greys and the colours of the coloured pixels; few greys would hide tissue."""
    palette = np.repeat(np.linspace(0, 255, GREYS).astype(np.uint8), 3).tolist()
    coloured = pixels[np.ptp(pixels, axis=2) >= COLOURED]
    if len(coloured):
        strip = Image.fromarray(np.ascontiguousarray(coloured[None]))
        chosen = strip.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
        palette += (chosen.getpalette() or [])[: 3 * COLOURS]
    holder = Image.new("P", (1, 1))
    holder.putpalette(palette)
    return holder
