# SPDX-License-Identifier: Apache-2.0
"""The slices that a report shows, kept while all slices stream by once.

Which slice is a region's peak is known only at the end: for a flagged region it is the best slice
of those runs that are long enough. So each region keeps three candidates, the best of all, of the
run that is going on, and of the finished runs. Pictures are shared between them, 8 bit deep and at
most `MAX_PIXELS` wide: memory does not grow with the number of slices.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import RegionFinding
from aminet_runtime.metadata import Metadata
from aminet_runtime.patient import Channel

MAX_PIXELS = 512
CT_DISPLAY_HU = (-100.0, 500.0)  # width 600, level 200: vessels bright, brain grey, bone white
MAP_DISPLAY = (0.0, 1.0)  # SPIRAL
ATLAS_DISPLAY = (0.0, 14.0)
TISSUE_HU = (-100.0, 200.0)  # brain and blood with their noise, no bone and no air
NORMAL_MAD = 0.6745  # median absolute deviation of a normal distribution of variance 1
ROWS_BETWEEN_NOISE_SAMPLES = 8
MIN_NOISE_SAMPLES = 100


@dataclass(frozen=True, slots=True, eq=False)
class KeySlice:
    """A slice to be shown for one region.

    Attributes:
        index: Canonical number of the slice.
        score: The region's probability in it.
        grey: uint8 [H / step, W / step], windowed.
        evidence: float32 [h, w], where the network looked for this region.
        step: Voxels of the slice from one pixel to the next.
    """

    index: int
    score: float
    grey: NDArray[np.uint8]
    evidence: NDArray[np.float32]
    step: int


class ScoredSlice(Protocol):
    """What is asked about a score; `aminet_runtime.session.SliceScore` is one."""

    @property
    def index(self) -> int:
        """Canonical number of the slice."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """float32 [15]."""

    @property
    def evidence(self) -> NDArray[np.float32]:
        """float32 [15, h, w]."""


class KeySliceKeeper:
    """Sees each slice once and keeps those that a report may show.

    Attributes:
        channel: What the pictures show: the bundle's first CT channel, else its first channel.
    """

    def __init__(self, metadata: Metadata) -> None:
        """Keep nothing yet."""
        contract = metadata.input
        in_hu = [channel for channel in contract.channels if channel.in_hu]
        self.channel = (in_hu or list(contract.channels))[0]
        self._channels = len(contract.channels)
        self._position = contract.channels.index(self.channel)
        self._thresholds = metadata.decision.thresholds
        self._run_length = metadata.decision.min_consecutive_slices
        self._best: dict[int, KeySlice] = {}
        self._best_of_run: dict[int, KeySlice] = {}
        self._best_of_runs: dict[int, KeySlice] = {}
        self._run_lengths = [0] * len(self._thresholds)
        self._noise_hu: list[float] = []

    @property
    def noise_hu(self) -> float | None:
        """Noise of the soft tissue, the median of all slices; None where no CT was seen."""
        return float(np.median(self._noise_hu)) if self._noise_hu else None

    def see(self, scored: ScoredSlice, planes: NDArray[np.float32]) -> None:
        """Look at one slice, in stored order.

        Args:
            scored: What the network said about it.
            planes: float32 [C x window, H, W] or [C, H, W], what it was shown; may be overwritten
                afterwards.
        """
        window = len(planes) // self._channels
        shown = planes[self._position * window + window // 2]
        if self.channel.in_hu:
            self._noise_hu.extend(_noise_hu(shown))
        picture = _LazyPicture(shown, self.channel)
        for region, threshold in enumerate(self._thresholds):
            if threshold is not None:
                self._compare(region, threshold, scored, picture)

    def for_finding(self, finding: RegionFinding) -> KeySlice | None:
        """Return the peak slice of a region; None if it was not assessed."""
        region = finding.index
        if not finding.affected:
            return self._best.get(region)
        # a scan with fewer slices than the rule asks for is one run that is still going on
        run = self._best_of_runs.get(region) or self._best_of_run.get(region)
        return run or self._best.get(region)  # the other members of an ensemble flagged it

    def _compare(
        self, region: int, threshold: float, scored: ScoredSlice, picture: "_LazyPicture"
    ) -> None:
        score = float(scored.probabilities[region])
        _keep_better(self._best, region, score, scored, picture)
        if score < threshold:
            self._run_lengths[region] = 0
            self._best_of_run.pop(region, None)
            return
        self._run_lengths[region] += 1
        _keep_better(self._best_of_run, region, score, scored, picture)
        if self._run_lengths[region] >= self._run_length:
            self._best_of_runs[region] = _better(
                self._best_of_run[region], self._best_of_runs.get(region)
            )


class _LazyPicture:
    """A slice as a picture, made when the first region wants to keep it."""

    def __init__(self, values: NDArray[np.float32], channel: Channel) -> None:
        self._values = values
        self._bounds = _display(channel)
        self._grey: NDArray[np.uint8] | None = None
        self.step = math.ceil(max(values.shape) / MAX_PIXELS)

    @property
    def grey(self) -> NDArray[np.uint8]:
        if self._grey is None:
            low, high = self._bounds
            shown = self._values[:: self.step, :: self.step] - np.float32(low)
            shown *= np.float32(255.0 / (high - low))
            self._grey = np.clip(shown, 0.0, 255.0, out=shown).astype(np.uint8)
        return self._grey


def _display(channel: Channel) -> tuple[float, float]:
    if channel.in_hu:
        return CT_DISPLAY_HU
    return MAP_DISPLAY if channel is Channel.SPIRAL else ATLAS_DISPLAY


def _keep_better(
    kept: dict[int, KeySlice],
    region: int,
    score: float,
    scored: ScoredSlice,
    picture: _LazyPicture,
) -> None:
    """Replace what is kept if this score is higher; of equal ones the lowest slice wins."""
    before = kept.get(region)
    if before is not None and (before.score, -before.index) >= (score, -scored.index):
        return
    evidence = scored.evidence[region].copy()
    kept[region] = KeySlice(scored.index, score, picture.grey, evidence, picture.step)


def _better(first: KeySlice, second: KeySlice | None) -> KeySlice:
    if second is None or (first.score, -first.index) > (second.score, -second.index):
        return first
    return second


def _noise_hu(plane: NDArray[np.float32]) -> list[float]:
    """Estimate a slice's noise from neighbours within soft tissue; empty where there is too little.

    The difference of two neighbours has twice the variance of either; the median passes by vessels
    and edges.
    """
    rows = plane[::ROWS_BETWEEN_NOISE_SAMPLES]
    left, right = rows[:, :-1], rows[:, 1:]
    low, high = TISSUE_HU
    tissue = (left > low) & (left < high) & (right > low) & (right < high)
    tissue &= (left != 0) & (right != 0)  # 0 is what registration fills in
    differences = np.abs(left[tissue] - right[tissue])
    if differences.size < MIN_NOISE_SAMPLES:
        return []
    return [float(np.median(differences)) / NORMAL_MAD / math.sqrt(2.0)]
