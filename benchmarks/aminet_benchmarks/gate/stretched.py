# SPDX-License-Identifier: Apache-2.0
"""The same patient with more or fewer slices, or other pixels: nearest neighbours, same extent."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from aminet_benchmarks.ways import Task, require_plain
from aminet_runtime.volume import Volume

HEADER_BYTES = 352
GZIP_LEVEL, GZIP_WINDOW_BITS = 1, 31
NOISE_HU = 8  # repeated pixels would unpack faster than real ones
_DIM, _PIXDIM, _SROW = 40, 76, 280  # offsets in a NIfTI-1 header


def stretch(
    task: Task, folder: Path, *, slices: int | None = None, edge_px: int | None = None
) -> Path:
    """Write a patient of another size into a new folder.

    Args:
        task: Whose patient, stored as int16 (an atlas as uint8) and LPS.
        folder: New folder.
        slices: How many; as many as there are if None.
        edge_px: Columns and rows; as many as there are if None.

    Raises:
        InputUnsupported: The patient is stored in another way.
    """
    require_plain(task)
    depth, height, width = task.shape
    wanted = (slices or depth, edge_px or height, edge_px or width)
    folder.mkdir(parents=True)
    for path in task.volumes:
        _stretch_file(path, folder / path.name, task.shape, wanted)
    return folder


def _stretch_file(
    source: Path, target: Path, shape: tuple[int, int, int], wanted: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    picks = [np.arange(new) * old // new for old, new in zip(shape, wanted, strict=True)]
    compressor = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW_BITS)
    depth, height, width = shape
    with Volume.open(source) as volume:
        kind = volume.header.dtype
    with igzip.open(source, "rb") as stream, target.open("wb") as file:
        header = stream.read(HEADER_BYTES)
        file.write(compressor.compress(_header(header, shape, wanted)))
        for number in range(depth):
            stored = stream.read(kind.itemsize * height * width)
            plane = np.frombuffer(stored, kind).reshape(height, width)
            repeats = int((picks[0] == number).sum())
            if not repeats:
                continue
            scaled = plane if shape[1:] == wanted[1:] else _resample(plane, picks, rng)
            for _copy in range(repeats):
                file.write(compressor.compress(np.ascontiguousarray(scaled).tobytes()))
        file.write(compressor.flush())


def _resample(
    plane: NDArray[Any], picks: list[NDArray[np.int64]], rng: np.random.Generator
) -> NDArray[Any]:
    scaled: NDArray[Any] = plane[np.ix_(picks[1], picks[2])]
    if plane.dtype == np.uint8:
        return scaled  # an atlas, which has no noise
    noise = rng.integers(-NOISE_HU, NOISE_HU + 1, scaled.shape, dtype=np.int16)
    return np.asarray(scaled + noise, "<i2")


def _header(header: bytes, shape: tuple[int, int, int], wanted: tuple[int, int, int]) -> bytes:
    """Change counts and spacings along (x, y, z), so that the extent stays."""
    changed = bytearray(header)
    for axis, (old, new) in enumerate(zip(shape[::-1], wanted[::-1], strict=True)):
        struct.pack_into("<h", changed, _DIM + 2 * (axis + 1), new)
        places = [_PIXDIM + 4 * (axis + 1), *(_SROW + 16 * row + 4 * axis for row in range(3))]
        for place in places:
            (value,) = struct.unpack_from("<f", changed, place)
            struct.pack_into("<f", changed, place, value * old / new)
    return bytes(changed)
