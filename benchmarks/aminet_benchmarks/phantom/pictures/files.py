# SPDX-License-Identifier: Apache-2.0
"""A figure as a small PNG: few colours are enough for grey slices with overlays."""

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from aminet_runtime.publish import write_whole

DOTS_PER_INCH = 120
COLOURS = 96


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure on black as a PNG with a palette.

    Raises:
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    drawn, packed = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", facecolor="black", dpi=DOTS_PER_INCH)
    with Image.open(drawn) as picture:
        palette = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    palette.save(packed, format="PNG", optimize=True)
    write_whole(path, packed.getvalue())
