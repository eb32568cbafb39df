# SPDX-License-Identifier: Apache-2.0
import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from aminet_train.tuning.plan import TunePlan
from aminet_train.tuning.report import best_command, best_trial, write_tune_report
from aminet_train.tuning.space import SIZE, space_of
from aminet_train.tuning.trials import Outcome, begin_trial, read_trials, record_end, record_epoch


@pytest.fixture
def plan(tmp_path) -> TunePlan:
    data = {128: (Path("small"),), 256: (Path("large one"),)}
    return TunePlan("mobilenetv2", data, tmp_path, space_of("mobilenetv2", [128, 256]))


@pytest.fixture
def trials(plan):
    for rate, size, values in ((0.001, 128, (0.1, 0.3, 0.2)), (0.004, 256, (0.2, 0.4))):
        parameters = {"schedule.learning_rate": rate, "loss.positive_weight": 20.0, SIZE: size}
        trial = begin_trial(plan.output, parameters)
        for number, value in enumerate(values, start=1):
            measured = {"epoch": number, "loss": 1.0, "slice_ap": value}
            trial = record_epoch(trial, {**measured, "slice_f1": 0.1, "patient_f1": 0.2})
        record_end(trial.folder, Outcome.STOPPED)
    never = {"schedule.learning_rate": 0.01, "loss.positive_weight": 11.0, SIZE: 128}
    record_end(begin_trial(plan.output, never).folder, Outcome.FAILED, "no space")
    return read_trials(plan.output)


def test_the_best_epoch_of_any_trial_wins(trials):
    assert best_trial(trials).score == 0.4
    assert best_trial(trials).best["epoch"] == 2


def test_command_reads_the_cohorts_of_the_best_size(plan, trials):
    command = best_command(plan, trials, config=None)
    assert command == (
        "aminet-train --model mobilenetv2 --data 'large one' "
        "--learning-rate 0.004 --positive-weight 20"
    )


def test_report_has_every_trial_and_both_plots(plan, trials):
    write_tune_report(plan, trials, command="aminet-train")
    with (plan.output / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["best_slice_ap"] for row in rows] == ["0.4", "0.3", ""]
    assert rows[2]["reason"] == "no space"
    assert json.loads((plan.output / "best.json").read_text())["checkpoint"] is None
    for name in ("learning.png", "parameters.png"):
        with Image.open(plan.output / name) as image:
            assert min(image.size) > 300
