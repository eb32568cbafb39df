# SPDX-License-Identifier: Apache-2.0
"""How much of each region lies in what the network sees, where that is the middle of the slice.

A head that lies far from the middle may have a region cut off, and a clot there cannot be found.
The atlas tells, on the coarse raster on which the scan is checked, too.
"""

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.input_contract import InputContract
from aminet_runtime.regions import REGION_COUNT
from aminet_runtime.scan_check import raster_step


class RegionsInView:
    """Counts the voxels of each region, and those of them that the network sees."""

    def __init__(self, contract: InputContract, *, height: int, width: int) -> None:
        """Find the part of a slice that is seen.

        Args:
            contract: Of the bundle.
            height: Rows of a slice.
            width: Columns of a slice.
        """
        self._step = raster_step(height, width)
        rows, columns = (
            _seen(edge, margin_px / frame_px, step=self._step)
            for edge, margin_px, frame_px in zip(
                (height, width), contract.network_margin_px, contract.frame_px, strict=True
            )
        )
        self._middle = rows, columns
        self._all = np.zeros(REGION_COUNT, np.int64)
        self._seen = np.zeros(REGION_COUNT, np.int64)
        self._around: set[int] = set()

    def add(self, atlas: NDArray[np.generic]) -> None:
        """Count one slice of the atlas, [H, W] with values 0..14."""
        sample = atlas[:: self._step, :: self._step].astype(np.intp)
        self._all += np.bincount(sample.ravel(), minlength=REGION_COUNT)
        self._seen += np.bincount(sample[self._middle].ravel(), minlength=REGION_COUNT)
        self._around.update(sample[[0, 0, -1, -1], [0, -1, 0, -1]].tolist())

    def cut_off(self, share: float) -> tuple[int, ...]:
        """Return the regions of which more than a share lies outside of what is seen.

        What reaches a corner of a slice lies around the head, and is not counted.
        """
        outside = 1 - self._seen / np.maximum(self._all, 1)
        outside[[*self._around, *np.flatnonzero(self._all == 0)]] = 0
        return tuple(np.flatnonzero(outside > share).tolist())


def _seen(edge: int, margin: float, *, step: int) -> slice:
    """Return which samples along an edge are seen; the margin is a share of the edge."""
    places = np.arange(0, edge, step)
    seen = np.flatnonzero((places >= edge * margin) & (places < edge * (1 - margin)))
    return slice(int(seen[0]), int(seen[-1]) + 1)
