# SPDX-License-Identifier: Apache-2.0
"""A bundle's self-test: a few slices, and the probabilities that its network must give for them."""

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.bundle import SELFTEST, Bundle
from aminet_runtime.bundle_files import read_verified
from aminet_runtime.errors import ModelInvalid
from aminet_runtime.publish import write_whole
from aminet_runtime.regions import REGION_COUNT

MAX_UNPACKED_BYTES = 2**28  # 100 slices of 512 x 512 x 5 planes in int16
TOLERANCE = 0.02
"""Largest difference in probability that a bundle may show between instruction sets."""

CASE_SELFTEST = 6

_KEYS = ("slices_hu", "probabilities")
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    MemoryError,
    RuntimeError,  # encrypted
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True, eq=False)
class SelfTest:
    """Slices and what the exported network said about them.

    Attributes:
        slices_hu: int16 [n, C, H, W] (float32 where a channel is a SPIRAL map), n > 0.
        probabilities: float32 [n, 15] in 0..1.
    """

    slices_hu: NDArray[np.generic]
    probabilities: NDArray[np.float32]


def read_selftest(bundle: Bundle) -> SelfTest:
    """Read the self-test of a bundle.

    Raises:
        ModelUntrusted: The file was changed since the bundle was opened.
        ModelInvalid: It is no archive of the two arrays, or they do not fit the bundle.
    """
    data = read_verified(bundle.path, SELFTEST, hashes=bundle.hashes)
    path = bundle.path / SELFTEST
    slices_hu, probabilities = _read_arrays(data, path=path)
    _require_slices(slices_hu, planes=bundle.metadata.input.planes, path=path)
    return SelfTest(slices_hu, _as_probabilities(probabilities, count=len(slices_hu), path=path))


def largest_difference(
    selftest: SelfTest, answer: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> float:
    """Let a network answer the self-test, and compare.

    Args:
        selftest: Slices with known answers.
        answer: Takes planes [C, H, W] and returns probabilities [15], which are used at once.

    Returns:
        The largest difference in probability.
    """
    differences = [
        np.abs(answer(planes.astype(np.float32)).astype(np.float64) - expected).max()
        for planes, expected in zip(selftest.slices_hu, selftest.probabilities, strict=True)
    ]
    return float(np.max(differences))


def write_selftest(path: Path, selftest: SelfTest) -> None:
    """Write a self-test, compressed.

    Raises:
        OutputNotWritable: The file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, slices_hu=selftest.slices_hu, probabilities=selftest.probabilities)
    write_whole(path, buffer.getvalue())


def _read_arrays(data: bytes, *, path: Path) -> list[NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
            raise _invalid(f"unpacks to more than {MAX_UNPACKED_BYTES} bytes", path)
        if not all(entry.compress_type in _COMPRESSIONS for entry in entries):
            raise _invalid("is compressed otherwise than by zlib", path)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return [arrays[key] for key in _KEYS]
    except ModelInvalid:
        raise
    except _UNREADABLE as cause:
        raise _invalid(f"is no archive of {' and '.join(_KEYS)} ({cause})", path) from cause


def _require_slices(slices_hu: NDArray[np.generic], *, planes: int, path: Path) -> None:
    known_type = slices_hu.dtype in {np.dtype(np.int16), np.dtype(np.float32)}
    if not known_type or slices_hu.ndim != 4 or slices_hu.size == 0:
        raise _invalid("slices_hu is not int16 or float32 [n, C, H, W]", path)
    if slices_hu.shape[1] != planes:
        raise _invalid(f"slices_hu has {slices_hu.shape[1]} planes, not {planes}", path)


def _as_probabilities(
    values: NDArray[np.generic], *, count: int, path: Path
) -> NDArray[np.float32]:
    if values.dtype != np.float32 or values.shape != (count, REGION_COUNT):
        raise _invalid(f"probabilities is not float32 [{count}, {REGION_COUNT}]", path)
    probabilities = values.astype(np.float32, copy=False)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise _invalid("probabilities holds values outside of 0..1", path)
    return probabilities


def _invalid(message: str, path: Path) -> ModelInvalid:
    return ModelInvalid(message, case=CASE_SELFTEST, path=path, hint="export the bundle again")
