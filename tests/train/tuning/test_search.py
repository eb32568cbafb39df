# SPDX-License-Identifier: Apache-2.0
import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aminet_runtime.errors import InputDamaged, InputInconsistent, UsageError
from aminet_train.commands.tune import main
from aminet_train.fitting.resolve_config import resolve
from aminet_train.tuning import search
from aminet_train.tuning.plan import TunePlan
from aminet_train.tuning.search import run_trial, tune
from aminet_train.tuning.space import (
    SIZE,
    SPACES,
    Choice,
    Range,
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


def end_a_trial(plan, parameters=PARAMETERS):
    trial = record_epoch(begin_trial(plan.output, parameters), epoch(1, 0.3))
    record_end(trial.folder, Outcome.STOPPED)


@pytest.fixture
def held(plan) -> TunePlan:
    """A search of one trial, which has ended."""
    one = replace(plan, trials=1)
    end_a_trial(one)
    tune(one)
    return one


def test_a_search_is_written_down_before_its_first_trial(plan, monkeypatch):
    written = []

    def search_one(one, *_others):
        written.append(json.loads((one.output / "search.json").read_bytes()))
        end_a_trial(one)

    monkeypatch.setattr(search, "_search", search_one)
    tune(replace(plan, settings={"weights": "none"}, cpus=2, seed=3))
    about = written[0]
    assert about.pop("space")["network.pool"] == {"values": [2, 4]}
    assert about == {
        "model": "simple_cnn",
        "data": {"64": [plan.data[64][0].name]},
        "settings": {"weights": "none"},
        "epochs": 2,
        "grace_epochs": 4,
        "reduction": 2,
    }


DROPOUT = {"network.dropout": Range(0.1, 0.5, "--dropout")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "mobilenetv2"}, r"--model simple_cnn, not mobilenetv2"),
        ({"data": {64: (Path("other"),)}}, r"--data \S+ \(64 px\), not other \(64 px\)"),
        ({"settings": {"loss": {"mask_weight": 0.1}}}, r"--config loss\.mask_weight left out, not"),
        ({"epochs": 5}, r"a search with --epochs 2, not 5; choose another --output"),
        ({"grace_epochs": 1}, r"--grace 4, not 1"),
        ({"reduction": 3}, r"--reduction 2, not 3"),
        (
            {"space": {**SPACES["simple_cnn"], **DROPOUT}},
            r"the space of network\.dropout\.high 0\.4, not 0\.5",
        ),
    ],
)
def test_another_search_in_the_folder_is_refused_by_what_differs(held, changes, message):
    before = (held.output / "search.json").read_bytes()
    with pytest.raises(InputInconsistent, match=message):
        tune(replace(held, **changes))
    assert (held.output / "search.json").read_bytes() == before


def test_a_setting_that_is_left_out_is_another_search(plan):
    with_setting = replace(plan, trials=1, settings={"schedule": {"batch_size": 8}})
    end_a_trial(with_setting)
    tune(with_setting)
    assert len(tune(with_setting)) == 1
    with pytest.raises(InputInconsistent, match=r"--config schedule\.batch_size 8, not left out"):
        tune(replace(with_setting, settings={}))


def test_networks_of_one_space_do_not_share_a_folder(prepared_cohort, tmp_path, capsys):
    space = space_of("mobilenetv2", [64])
    data = cohorts_by_size([prepared_cohort.root])
    plan = TunePlan("mobilenetv2", data, tmp_path / "search", space, trials=1, epochs=3)
    end_a_trial(plan, {"schedule.learning_rate": 0.001, "loss.positive_weight": 20.0})
    tune(plan)
    named = ["--model", "efficientformerv2", "--data", str(prepared_cohort.root)]
    code = main([*named, "-o", str(plan.output), "--trials", "1", "--epochs", "3"])
    assert code == InputInconsistent.exit_code
    assert "a search with --model mobilenetv2, not efficientformerv2" in capsys.readouterr().err


def test_budget_machines_and_place_of_the_cohorts_may_change(held):
    end_a_trial(held, {**PARAMETERS, "network.pool": 2})
    moved = {64: tuple(Path("/elsewhere") / path.name for path in held.data[64])}
    more = replace(held, trials=2, cpus=2, address="auto", seed=1, data=moved)
    assert len(tune(more)) == 2


def test_a_folder_without_trials_holds_no_search_yet(plan, monkeypatch):
    def no_ray(*_arguments):
        raise UsageError("Ray Tune or Optuna is not installed")

    monkeypatch.setattr(search, "_search", no_ray)
    with pytest.raises(UsageError):
        tune(plan)
    monkeypatch.setattr(search, "_search", lambda one, *_others: end_a_trial(one))
    tune(replace(plan, epochs=5))
    assert json.loads((plan.output / "search.json").read_bytes())["epochs"] == 5


def test_a_folder_of_an_older_version_gets_its_search_written_down(held):
    (held.output / "search.json").unlink()
    tune(held)
    with pytest.raises(InputInconsistent, match="--epochs 2, not 5"):
        tune(replace(held, epochs=5))


def test_trials_of_another_space_are_refused(plan):
    begin_trial(plan.output, {"schedule.learning_rate": 0.001})
    with pytest.raises(InputInconsistent, match="trials of another search"):
        tune(plan)
    assert not (plan.output / "search.json").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"model": "simple_cnn"}', '{"data": 3}'])
def test_a_damaged_description_of_the_search_is_named(held, content):
    (held.output / "search.json").write_text(content)
    with pytest.raises(InputDamaged, match=r"search\.json: not a search: .*; choose another --out"):
        tune(held)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", "0"], "--trials 0 is below 1"),
        (["--epochs", "0"], "--epochs 0 is below 1"),
        (["--grace", "0"], "--grace 0 is below 1"),
        (["--reduction", "1"], "--reduction 1 is below 2"),
        (["--cpus", "0"], "--cpus 0 is below 1"),
        (["--seed", "-1"], "--seed -1 is below 0"),
    ],
)
def test_refuses_numbers_that_cannot_be_meant(
    prepared_cohort, tmp_path, capsys, monkeypatch, options, message
):
    monkeypatch.setattr(search, "_search", lambda *_arguments: None)
    named = ["--model", "simple_cnn", "--data", str(prepared_cohort.root)]
    assert main([*named, "-o", str(tmp_path / "search"), *options]) == UsageError.exit_code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "search").exists()


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
