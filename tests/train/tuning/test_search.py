# SPDX-License-Identifier: Apache-2.0
import csv
import json
import signal
import subprocess
import sys
import time

import pytest

from aminet_runtime.errors import InputInconsistent
from aminet_train.commands.tune import main
from aminet_train.fitting.resolve_config import resolve
from aminet_train.tuning.search import TunePlan, run_trial, tune
from aminet_train.tuning.space import (
    SIZE,
    SPACES,
    Choice,
    as_flags,
    as_tables,
    cohorts_by_size,
    space_of,
)
from aminet_train.tuning.trials import (
    Outcome,
    begin_trial,
    own,
    read_trials,
    record_end,
    record_epoch,
    require_owner,
)

PARAMETERS = {
    "schedule.learning_rate": 0.001,
    "loss.positive_weight": 20.0,
    "network.activation": "relu",
    "network.dropout": 0.2,
    "network.features": 128,
    "network.pool": 4,
    "network.extra_layers": 0,
}


@pytest.fixture
def plan(prepared_cohort, tmp_path) -> TunePlan:
    data = cohorts_by_size([prepared_cohort.root])
    return TunePlan("simple_cnn", data, tmp_path / "search", space_of("simple_cnn", [64]), epochs=2)


def epoch(number: int, value: float) -> dict[str, float]:
    return {"epoch": number, "loss": 1.0, "slice_ap": value, "slice_f1": 0.1, "patient_f1": 0.2}


def test_parameters_are_settings_of_training():
    config = resolve({"model": "simple_cnn", "data": ["x"]}, as_tables(PARAMETERS))
    assert config.schedule.learning_rate == 0.001
    assert config.network.features == 128


def test_parameters_are_flags_of_training():
    flags = as_flags(PARAMETERS, SPACES["simple_cnn"])
    assert flags[:2] == ["--learning-rate", "0.001"]
    assert flags[4:6] == ["--activation", "relu"]


def test_size_is_searched_where_there_are_cohorts_of_several():
    assert space_of("mobilenetv2", [256, 128])[SIZE] == Choice((128, 256), "--data")
    assert SIZE not in space_of("mobilenetv2", [224])


def test_a_trial_reports_each_epoch_and_is_written_down(plan):
    reported = []

    def report(measured):
        is_last = measured["epoch"] == 2
        assert is_last is (read_trials(plan.output)[0].run / "checkpoint").exists()
        reported.append(measured)

    run_trial(PARAMETERS, plan, report)
    (trial,) = read_trials(plan.output)
    assert [one["epoch"] for one in reported] == [1, 2]
    assert trial.outcome is Outcome.DONE
    assert len(trial.epochs) == 2
    assert trial.score == max(one["slice_ap"] for one in reported)
    assert (trial.run / "checkpoint" / "checkpoint.json").exists()


def test_a_trial_that_is_run_again_goes_on(plan):
    class Killed(BaseException):
        pass

    def die_after_first(_measured):
        raise Killed

    with pytest.raises(Killed):
        run_trial(PARAMETERS, plan, die_after_first)
    assert read_trials(plan.output)[0].outcome is None
    reported = []
    run_trial(PARAMETERS, plan, reported.append)
    assert reported[0]["epoch"] == 1, "what was known is told first"
    (trial,) = read_trials(plan.output)
    assert [one["epoch"] for one in trial.epochs] == [1, 2]


def test_an_end_is_written_once(plan):
    folder = begin_trial(plan.output, PARAMETERS).folder
    record_end(folder, Outcome.DONE)
    record_end(folder, Outcome.STOPPED)
    assert read_trials(plan.output)[0].outcome is Outcome.DONE


def test_an_epoch_that_is_measured_again_replaces_the_later_ones(plan):
    trial = begin_trial(plan.output, PARAMETERS)
    for number, value in ((1, 0.1), (2, 0.3), (2, 0.2)):
        trial = record_epoch(trial, epoch(number, value))
    assert [one["slice_ap"] for one in read_trials(plan.output)[0].epochs] == [0.1, 0.2]


def test_trials_of_another_space_are_refused(plan):
    begin_trial(plan.output, {"schedule.learning_rate": 0.001})
    with pytest.raises(InputInconsistent, match="trials of another search"):
        tune(plan)


def test_a_worker_of_a_killed_search_begins_no_trial_of_the_next(plan):
    killed, next_one = own(plan.output), own(plan.output)
    require_owner(plan.output, next_one)
    with pytest.raises(InputInconsistent, match="taken this folder over"):
        require_owner(plan.output, killed)


SEARCH = ("--epochs", "3", "--grace", "1", "-q")


def arguments(cohort, output, trials):
    named = ["--model", "simple_cnn", "--data", str(cohort.root), "-o", str(output)]
    return [*named, "--trials", str(trials), *SEARCH]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on(prepared_cohort, tmp_path, capsys, monkeypatch):
    pytest.importorskip("ray", reason="the extra 'tune' is not installed")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or other work on this machine starves it
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path / "search"
    command = [sys.executable, "-m", "aminet_train.commands.tune"]
    with subprocess.Popen([*command, *arguments(prepared_cohort, output, 3)]) as process:
        try:
            _wait_for(lambda: list(output.glob("trials/*/epochs.json")), process)
        finally:
            process.send_signal(signal.SIGKILL)
    before = {trial.name: trial for trial in read_trials(output)}
    assert main(arguments(prepared_cohort, output, 3)) == 0
    assert "aminet-train --model simple_cnn" in capsys.readouterr().out
    after = {trial.name: trial for trial in read_trials(output)}
    assert len(after) == 3, "the trials that had begun count"
    assert before.keys() <= after.keys()
    assert all(trial.outcome is not None for trial in after.values())
    with (output / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert float(rows[0]["best_slice_ap"]) == max(trial.score for trial in after.values())
    best = json.loads((output / "best.json").read_text())
    assert best["trial"] == rows[0]["trial"]
    assert (output / "learning.png").exists()
    assert (output / "parameters.png").exists()


def _wait_for(condition, process, *, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the search ended early"
        assert time.monotonic() < deadline, "no epoch ended"
        time.sleep(0.1)
