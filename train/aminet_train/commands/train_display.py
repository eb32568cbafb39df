# SPDX-License-Identifier: Apache-2.0
"""How `aminet-train` shows a run: a bar on a terminal, one line an epoch elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

from aminet_train.fitting.progress import EpochMetrics


class BarDisplay:
    """A bar over all steps with loss, F1 and the time that is left; a line for each epoch."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._f1 = "-"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Move the bar."""
        if self._bar is None:  # a run that goes on begins in the middle
            self._bar = tqdm(total=total, initial=done - 1, unit="step", dynamic_ncols=True)
        self._bar.set_postfix_str(f"loss {loss:.4f}, patient F1 {self._f1}", refresh=False)
        self._bar.update(done - self._bar.n)

    def on_epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Print the epoch above the bar."""
        self._f1 = f"{metrics.patient_f1:.3f}"
        tqdm.write(epoch_line(metrics, epochs), file=sys.stderr)


class LineDisplay:
    """One line an epoch, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started: float | None = None
        self._first = 0
        self._done = self._total = 0

    def on_step(self, done: int, total: int, loss: float) -> None:  # noqa: ARG002 - a bar shows it
        """Remember how far the run is."""
        if self._started is None:
            self._started, self._first = time.monotonic(), done
        self._done, self._total = done, total

    def on_epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Print the epoch and when the last one will end."""
        print(f"{epoch_line(metrics, epochs)}, {self._left()}", file=self._stream, flush=True)

    def _left(self) -> str:
        if self._started is None or self._done == self._first:
            return "time left unknown"
        pace_s = (time.monotonic() - self._started) / (self._done - self._first)
        return f"at most {duration(pace_s * (self._total - self._done))} left"


def epoch_line(metrics: EpochMetrics, epochs: int) -> str:
    """Say in a line what an epoch measured."""
    return (
        f"epoch {metrics.epoch}/{epochs}: loss {metrics.loss:.4f}, validation slice AP "
        f"{metrics.slice_ap:.3f}, slice F1 {metrics.slice_f1:.3f}, patient F1 "
        f"{metrics.patient_f1:.3f}"
    )


def duration(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
