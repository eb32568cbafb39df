# SPDX-License-Identifier: Apache-2.0
"""What a run's epochs measured: as CSV, for TensorBoard, and as a picture."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Self

from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from aminet_runtime.publish import write_whole
from aminet_train.fitting.progress import EpochMetrics

METRICS_FILE = "metrics.csv"
CURVES_FILE = "curves.png"
TENSORBOARD_FOLDER = "tensorboard"


class RunLog:
    """Writes the metrics of each epoch; a run that goes on overwrites what it repeats.

    Args:
        run: Folder of the run.
        epochs: How many have ended before.
    """

    def __init__(self, run: Path, *, epochs: int) -> None:
        self._run = run
        self._board = SummaryWriter(str(run / TENSORBOARD_FOLDER), purge_step=epochs + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._board.close()

    def write(self, history: Sequence[EpochMetrics]) -> None:
        """Take note of the last epoch."""
        write_whole(self._run / METRICS_FILE, _as_csv(history))
        for name, value in asdict(history[-1]).items():
            self._board.add_scalar(name, value, history[-1].epoch)
        self._board.flush()


def draw_curves(run: Path, history: Sequence[EpochMetrics]) -> None:
    """Draw loss and validation metrics over the epochs."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [metrics.epoch for metrics in history]
    left.plot(epochs, [metrics.loss for metrics in history], marker=".")
    left.set(title="training", xlabel="epoch", ylabel="loss")
    for name in ("slice_ap", "slice_f1", "patient_f1"):
        values = [getattr(metrics, name) for metrics in history]
        right.plot(epochs, values, marker=".", label=name)
    right.set(title="validation", xlabel="epoch", ylim=(0, 1))
    right.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_whole(run / CURVES_FILE, picture.getvalue())


def _as_csv(history: Sequence[EpochMetrics]) -> bytes:
    text = io.StringIO()
    names = [field.name for field in fields(EpochMetrics)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(metrics) for metrics in history)
    return text.getvalue().encode()
