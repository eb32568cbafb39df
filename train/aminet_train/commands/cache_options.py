# SPDX-License-Identifier: Apache-2.0
"""What is cached of each slice, and of which slices: options of all commands that prepare."""

import argparse
from typing import TYPE_CHECKING

from aminet_runtime.errors import UsageError

if TYPE_CHECKING:  # torch comes only once the arguments are known to be good
    from aminet_train.cohort.prepared import KeptSlices
    from aminet_train.preprocessing import PreprocessingConfig

CHANNELS = {
    "cta": "CTA2regA, the first aligned phase",
    "arterial": "CTA1",
    "mcta": "all three phases",
    "spiral": "SpiralregA",
    "cta+spiral": "CTA2regA and SpiralregA",
    "arterial+atlas": "CTA1 and ATLASMASKregA, for --head atlas",
    "mcta+atlas": "all three phases and ATLASMASKregA",
}
MIN_SIZE_PX, MAX_SIZE_PX = 32, 1024


def add_cache_options(parser: argparse.ArgumentParser) -> None:
    """Add channels, size, windows, and which slices to keep."""
    meanings = "; ".join(f"{name}: {files}" for name, files in CHANNELS.items())
    cache = parser.add_argument_group("what is cached of a slice")
    cache.add_argument(
        "--channels",
        choices=tuple(CHANNELS),
        default="cta",
        help=f"{meanings}; default %(default)s",
    )
    add_size_options(cache)
    cache.add_argument(
        "--hu-windows",
        type=hu_windows,
        metavar="LOW:HIGH,...",
        help="HU windows of each CTA channel, each a channel of the network; write "
        "--hu-windows=-100:500,0:100 with the equals sign; default -100:500",
    )
    _add_kept_options(parser.add_argument_group("which slices are cached"))


def add_size_options(
    group: argparse._ArgumentGroup,
    *,
    size: tuple[int, int] = (224, 224),
    frame: int | None = None,
) -> None:
    """Add the size of a network's input, and how much of a slice it shows.

    Args:
        group: Where they are listed.
        size: Height and width unless told.
        frame: Of the whole slice unless told; None for no margin.
    """
    group.add_argument(
        "--size",
        type=_size,
        default=size,
        metavar="PX",
        help="height and width as one number, or as HEIGHTxWIDTH; default "
        + " x ".join(map(str, size)),
    )
    group.add_argument(
        "--frame",
        type=_edge,
        default=frame,
        metavar="PX",
        help="resize slices to this height and width and keep the middle of --size: a head leaves "
        f"air around it, and what is left out makes the rest larger; default {frame or '--size'}",
    )


def _add_kept_options(slices: argparse._ArgumentGroup) -> None:
    slices.add_argument(
        "--negatives",
        type=_count,
        metavar="N",
        help="keep all slices with clot and N others of each training patient; validation and "
        "test keep all; default all",
    )
    slices.add_argument(
        "--positives",
        type=_count,
        metavar="N",
        help="with --negatives: keep N slices with clot of each training patient, and not all: "
        "with the same number of slices more patients teach more",
    )
    slices.add_argument(
        "--window",
        type=int,
        choices=(1, 3, 5),
        default=1,
        help="with --negatives: keep the neighbours, too, that a network looks at which is trained "
        "with this window; default %(default)s",
    )
    slices.add_argument(
        "--window-spacing",
        type=_distance,
        metavar="MM",
        help="distance of those neighbours; default the next slice",
    )


def preprocessing_of(options: argparse.Namespace) -> "PreprocessingConfig":
    """Return the preprocessing that was asked for.

    Raises:
        UsageError: The frame does not fit around the size.
    """
    from aminet_train.preprocessing import CTA_WINDOW_HU, PreprocessingConfig

    return PreprocessingConfig.from_preset(
        options.channels,
        size_px=options.size,
        margin_px=margin_of(options),
        windows_hu=options.hu_windows or (CTA_WINDOW_HU,),
    )


def margin_of(options: argparse.Namespace) -> tuple[int, int]:
    """Return the rows and columns that the frame has more than the size, on each side.

    Raises:
        UsageError: The frame does not fit around the size.
    """
    from aminet_train.preprocessing import CELL_PX

    height, width = options.size
    beyond = [(options.frame or edge) - edge for edge in options.size]
    if min(beyond) < 0 or any(edge % (2 * CELL_PX) for edge in beyond):
        raise UsageError(
            f"a frame of {options.frame} pixels does not leave out whole cells of {CELL_PX} pixels "
            f"around {height} x {width}",
            hint=f"add a multiple of {2 * CELL_PX} to both edges of --size",
        )
    rows, columns = (edge // 2 for edge in beyond)
    return rows, columns


def kept_of(options: argparse.Namespace) -> "KeptSlices":
    """Return which slices to keep.

    Raises:
        UsageError: Slices are chosen where all are kept anyway.
    """
    from aminet_train.cohort.prepared import KeptSlices
    from aminet_train.slice_window import SliceWindow

    if options.negatives is None and (options.window > 1 or options.window_spacing is not None):
        raise UsageError(
            "--window and --window-spacing choose neighbours to keep, but all slices are kept",
            hint="leave them out here and give them to aminet-train, or add --negatives",
        )
    if options.negatives is None and options.positives is not None:
        raise UsageError("--positives drops slices with clot alone", hint="add --negatives")
    window = SliceWindow(options.window, options.window_spacing)
    return KeptSlices(options.negatives, window, options.positives)


def hu_windows(text: str) -> tuple[tuple[float, float], ...]:
    """Read `LOW:HIGH,LOW:HIGH`.

    Raises:
        ArgumentTypeError: It is not of this form.
    """
    try:
        windows = tuple(_bounds(part) for part in text.split(","))
    except ValueError as cause:
        raise argparse.ArgumentTypeError(f"{text!r} is not LOW:HIGH,LOW:HIGH") from cause
    if not all(low < high for low, high in windows):
        raise argparse.ArgumentTypeError(f"{text!r}: LOW must be below HIGH")
    return windows


def _bounds(part: str) -> tuple[float, float]:
    low, high = map(float, part.split(":"))
    return low, high


def _size(text: str) -> tuple[int, int]:
    height, _x, width = text.partition("x")
    return _edge(height), _edge(width or height)


def _edge(text: str) -> int:
    value = int(text)
    if not MIN_SIZE_PX <= value <= MAX_SIZE_PX:
        raise argparse.ArgumentTypeError(f"{value} is not {MIN_SIZE_PX} to {MAX_SIZE_PX}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is below 0")
    return value


def _distance(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no distance in mm")
    return value
