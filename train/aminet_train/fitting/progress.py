# SPDX-License-Identifier: Apache-2.0
"""Where a training run is, and what its epochs measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class EpochMetrics:
    """What one epoch measured.

    Attributes:
        epoch: Counted from 1.
        loss: Mean over the epoch's steps.
        slice_ap: Average precision over the validation pairs; it decides which weights are kept.
        slice_f1: At the best common threshold.
        patient_f1: At the best common rule.
    """

    epoch: int
    loss: float
    slice_ap: float
    slice_f1: float
    patient_f1: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is.

    Attributes:
        step: Steps done in the epoch that is going on.
        loss_sum: Of these steps.
        history: One entry for each epoch that has ended.
    """

    step: int = 0
    loss_sum: float = 0.0
    history: tuple[EpochMetrics, ...] = ()

    @property
    def epoch(self) -> int:
        """Epochs that have ended."""
        return len(self.history)

    @property
    def best(self) -> EpochMetrics | None:
        """The first epoch with the highest average precision; None before the first has ended."""
        return max(self.history, key=lambda metrics: metrics.slice_ap, default=None)

    @property
    def epochs_without_gain(self) -> int:
        """Epochs since the best one."""
        return self.epoch - self.best.epoch if self.best else 0

    def after_step(self, loss: float) -> "Progress":
        """Count a step."""
        return replace(self, step=self.step + 1, loss_sum=self.loss_sum + loss)

    def after_epoch(self, metrics: EpochMetrics) -> "Progress":
        """Count an epoch."""
        return Progress(history=(*self.history, metrics))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Progress":
        """Read what `to_json` wrote."""
        history = tuple(EpochMetrics(**metrics) for metrics in values["history"])
        return cls(step=values["step"], loss_sum=values["loss_sum"], history=history)


class TrainingObserver(Protocol):
    """Whoever wants to show how a run goes."""

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Take note of a step: how many are done of at most how many."""

    def on_epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Take note of an epoch that has ended, of at most how many."""


class SilentObserver:
    """Shows nothing."""

    def on_step(self, done: int, total: int, loss: float) -> None:
        """Do nothing."""

    def on_epoch(self, metrics: EpochMetrics, epochs: int) -> None:
        """Do nothing."""


SILENT = SilentObserver()
"""For runs that nobody watches."""
