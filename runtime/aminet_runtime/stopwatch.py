# SPDX-License-Identifier: Apache-2.0
"""Where the time of a patient goes."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall time by phase, in ms; what is left of `total` is opening files and deciding.

    Attributes:
        start: Until the session was ready; 0 for all patients of a session but the first.
        compile: Compiling the network; near 0 where an earlier patient had the same H x W.
        stream: Reading, checking and scoring all slices.
        total: From the start (for later patients from the call) to the result.
    """

    start: float
    compile: float
    stream: float
    total: float


class Stopwatch:
    """Measures the phases of one patient, one after the other."""

    def __init__(self, *, start_ms: float = 0.0) -> None:
        """Begin with the phases behind the start.

        Args:
            start_ms: What the start has taken already.
        """
        self._start_ms = start_ms
        self._began = self._lap_began = time.perf_counter()
        self._laps_ms = {"compile": 0.0, "stream": 0.0}

    def lap(self, phase: str) -> None:
        """End a phase, which began with the end of the one before."""
        now = time.perf_counter()
        self._laps_ms[phase] = (now - self._lap_began) * 1000.0
        self._lap_began = now

    def timings(self) -> Timings:
        """Return the phases so far."""
        return Timings(
            start=self._start_ms,
            compile=self._laps_ms["compile"],
            stream=self._laps_ms["stream"],
            total=self._start_ms + (time.perf_counter() - self._began) * 1000.0,
        )
