# SPDX-License-Identifier: Apache-2.0
"""Ratios of runs that were made in turn, and how sure their median is.

Each round gives one ratio, of two runs that follow each other, so that what slows the machine for
a while slows both. The interval is that of the median, by bootstrap over the rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with its 95 % interval; a figure that needs no sampling has none of width.

    Attributes:
        value: The median.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def relative_width(self) -> float:
        """Width of the interval against the value."""
        return (self.high - self.low) / abs(self.value) if self.value else self.high - self.low

    @property
    def interval(self) -> str:
        """The interval in words."""
        return f"{self.low:.3g} to {self.high:.3g}"

    def holds(self, limit: float) -> bool:
        """Whether the limit lies within the interval."""
        return self.low <= limit < self.high


def exact(value: float) -> Estimate:
    """Return a figure that does not vary."""
    return Estimate(value, value, value)


def median_ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """Estimate the median of paired ratios.

    Args:
        above: Of each round.
        below: Of each round, as many.
    """
    ratios = np.array(above, np.float64) / np.array(below, np.float64)
    return median_of(ratios.tolist())


def median_of(values: Sequence[float]) -> Estimate:
    """Estimate a median."""
    found = np.array(values, np.float64)
    draws = np.random.default_rng(0).integers(0, len(found), (DRAWS, len(found)))
    medians = np.median(found[draws], axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Estimate(float(np.median(found)), float(low), float(high))
