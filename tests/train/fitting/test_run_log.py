# SPDX-License-Identifier: Apache-2.0
import csv
import io

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aminet_train.commands.train_display import BarDisplay, LineDisplay, duration
from aminet_train.fitting.progress import EpochMetrics, Progress
from aminet_train.fitting.run_log import RunLog, draw_curves

HISTORY = [EpochMetrics(n, 1.0 / n, 0.1 * n, 0.2 * n, 0.3 * n) for n in range(1, 4)]


def test_csv_and_tensorboard_hold_each_epoch_once_though_one_was_repeated(tmp_path):
    with RunLog(tmp_path, epochs=0) as log:
        log.write(HISTORY[:1])
        log.write(HISTORY[:2])
    with RunLog(tmp_path, epochs=1) as log:  # killed before the state of epoch 2 was saved
        log.write(HISTORY[:2])
        log.write(HISTORY)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [float(row["slice_ap"]) for row in rows] == [m.slice_ap for m in HISTORY]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("patient_f1")] == [1, 2, 3]


def test_curves_are_a_picture(tmp_path):
    draw_curves(tmp_path, HISTORY)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_epoch_is_the_first_with_the_highest_average_precision():
    progress = Progress()
    for epoch, value in enumerate([0.1, 0.4, 0.4, 0.2], start=1):
        progress = progress.after_epoch(EpochMetrics(epoch, 1.0, value, 0.0, 0.0))
    assert progress.best.epoch == 2
    assert progress.epochs_without_gain == 2
    assert Progress.from_json(progress.to_json()) == progress


def test_log_has_one_line_an_epoch_with_f1_and_time_left(monkeypatch):
    clock = iter([100.0, 110.0, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    display = LineDisplay(stream)
    for step in (1, 2, 3):
        display.on_step(step, 6, 0.5)
    display.on_epoch(HISTORY[2], 6)
    assert stream.getvalue() == (
        "epoch 3/6: loss 0.3333, validation slice AP 0.300, slice F1 0.600, patient F1 0.900, "
        "at most 15 s left\n"
    )


def test_bar_shows_loss_and_f1(capsys):
    with BarDisplay() as display:
        display.on_step(1, 4, 0.5)
        display.on_epoch(HISTORY[0], 2)
        display.on_step(2, 4, 0.25)
    shown = capsys.readouterr().err
    assert "epoch 1/2" in shown
    assert "loss 0.2500, patient F1 0.300" in shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.2, "4 s"), (61, "1 min 1 s"), (7500, "2 h 5 min")]
)
def test_durations_are_read_easily(seconds, text):
    assert duration(seconds) == text
