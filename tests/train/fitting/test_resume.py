# SPDX-License-Identifier: Apache-2.0
"""A run that is killed goes on to the very result that it would have had."""

import json
import pickle  # noqa: TID251 - the attack
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from aminet_runtime.errors import InputInconsistent, InputMissing, ModelInvalid
from aminet_train.commands.train import main as train_main
from aminet_train.fitting.config import ScheduleConfig, TrainConfig
from aminet_train.fitting.fit import resume, train
from aminet_train.networks import Approach
from aminet_train.networks.mobilenetv2 import MobileNetV2Config
from aminet_train.networks.simple_cnn import SimpleCnnConfig

STEPS_PER_EPOCH = 5
EVERY_STEP = 0.0
NEVER = 1e9


class KilledError(Exception):
    """Stands for the end of the process."""


class KillAfter:
    def __init__(self, steps):
        self.steps = steps

    def on_step(self, done, _total, _loss):
        if done == self.steps:
            raise KilledError

    def on_epoch(self, _metrics, _epochs):
        pass


def tiny(cohort, network) -> TrainConfig:
    return TrainConfig(
        data=(cohort.root,),
        approach=Approach.SIMPLE_CNN if network is CNN else Approach.MOBILENETV2,
        network=network,
        weights="none",
        schedule=ScheduleConfig(epochs=3, frozen_epochs=1, batch_size=32, learning_rate=2e-3),
        seed=5,
    )


CNN = SimpleCnnConfig(features=32)
MOBILE = MobileNetV2Config()


def result_of(checkpoint):
    metrics = (checkpoint.parent / "metrics.csv").read_bytes()
    return (checkpoint / "network.safetensors").read_bytes(), metrics


@pytest.fixture(scope="module")
def uninterrupted(prepared_cohort, tmp_path_factory):
    config = tiny(prepared_cohort, CNN)
    return config, train(config, tmp_path_factory.mktemp("runs") / "whole", save_seconds=NEVER)


@pytest.mark.parametrize(
    ("steps", "save_seconds"),
    [
        (1, NEVER),  # before there is a state
        (2, EVERY_STEP),  # in the middle of the first epoch
        (STEPS_PER_EPOCH + 1, NEVER),  # back to the end of the first epoch
        (2 * STEPS_PER_EPOCH, EVERY_STEP),  # the last step of an epoch
    ],
)
def test_goes_on_to_the_same_weights_and_metrics(uninterrupted, tmp_path, steps, save_seconds):
    config, expected = uninterrupted
    with pytest.raises(KilledError):
        train(config, tmp_path / "run", observer=KillAfter(steps), save_seconds=save_seconds)
    assert result_of(resume(tmp_path / "run")) == result_of(expected)


def test_goes_on_with_batch_norms_and_a_backbone_that_was_frozen(prepared_cohort, tmp_path):
    config = tiny(prepared_cohort, MOBILE)
    config = replace(config, schedule=replace(config.schedule, epochs=2))
    whole = train(config, tmp_path / "whole")
    kill_after = KillAfter(STEPS_PER_EPOCH + 2)
    with pytest.raises(KilledError):
        train(config, tmp_path / "run", observer=kill_after, save_seconds=EVERY_STEP)
    assert result_of(resume(tmp_path / "run")) == result_of(whole)


def test_run_that_has_ended_is_left_as_it_is(uninterrupted):
    _config, checkpoint = uninterrupted
    before = (checkpoint / "checkpoint.json").stat().st_mtime_ns
    assert resume(checkpoint.parent) == checkpoint
    assert (checkpoint / "checkpoint.json").stat().st_mtime_ns == before


def test_run_that_was_killed_while_it_wrote_the_checkpoint_writes_it_again(uninterrupted):
    _config, checkpoint = uninterrupted
    about = json.loads((checkpoint / "checkpoint.json").read_text())
    (checkpoint / "checkpoint.json").unlink()
    resume(checkpoint.parent)
    assert json.loads((checkpoint / "checkpoint.json").read_text()) == about


def test_kept_scores_choose_the_rule_that_fresh_ones_would(prepared_cohort, tmp_path):
    config = tiny(prepared_cohort, CNN)
    config = replace(config, schedule=replace(config.schedule, epochs=1))
    kept = train(config, tmp_path / "kept")
    fresh = train(replace(config, validation_stride=2), tmp_path / "fresh")
    rules = [json.loads((c / "checkpoint.json").read_text())["rule"] for c in (kept, fresh)]
    assert rules[0] == rules[1]


@pytest.fixture
def killed(prepared_cohort, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(KilledError):
        train(tiny(prepared_cohort, CNN), run, observer=KillAfter(3), save_seconds=EVERY_STEP)
    return run


@pytest.mark.parametrize("damage", [b"", b"\x80\x04pickle", pickle.dumps({"step": 1})])
def test_refuses_a_state_that_is_none(killed, damage):
    (killed / "state" / "state.safetensors").write_bytes(damage)
    with pytest.raises(ModelInvalid, match="not the state of a training run"):
        resume(killed)


def test_refuses_a_truncated_state(killed):
    path = killed / "state" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelInvalid, match="delete it to begin the run anew"):
        resume(killed)


def test_refuses_to_go_on_with_other_data(killed, monkeypatch):
    monkeypatch.setattr("aminet_train.fitting.fit.fingerprint", lambda _patients: "other")
    with pytest.raises(InputInconsistent, match="have changed since this run began"):
        resume(killed)


def test_begins_again_in_the_folder_of_a_run_that_had_no_state(prepared_cohort, tmp_path):
    config = tiny(prepared_cohort, CNN)
    without_weights = replace(tiny(prepared_cohort, MOBILE), weights="absent.safetensors")
    with pytest.raises(InputMissing, match="there is no weights file"):
        train(without_weights, tmp_path / "run")
    assert train(replace(config, schedule=ScheduleConfig(epochs=1)), tmp_path / "run").exists()


def test_state_is_removed_at_the_end(uninterrupted):
    _config, checkpoint = uninterrupted
    assert not (checkpoint.parent / "state").exists()


def test_refuses_a_folder_without_a_run(tmp_path):
    with pytest.raises(InputMissing, match="there is no run here"):
        resume(tmp_path)


def test_a_run_goes_on_with_its_own_settings_only(killed, capsys):
    assert train_main(["--resume", str(killed), "--epochs", "9"]) == 2
    assert "a run goes on with its own settings" in capsys.readouterr().err


@pytest.mark.slow
def test_survives_kill_9_at_random_moments(prepared_cohort, tmp_path):
    settings = ["--model", "simple_cnn", "--features", "32", "--epochs", "8", "--patience", "99"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    start = [*settings, "--data", str(prepared_cohort.root), "--save-seconds", "0"]
    subprocess.run(command(*start, "--run", str(whole)), check=True, capture_output=True)
    generator = np.random.default_rng(0)
    kill(command(*start, "--run", str(run)), run, generator)
    go_on = command("--resume", str(run), "--save-seconds", "0")
    kill(go_on, run, generator)
    subprocess.run(go_on, check=True, capture_output=True)
    assert result_of(run / "checkpoint") == result_of(whole / "checkpoint")


def command(*arguments):
    program = "import sys; from aminet_train.commands.train import main; sys.exit(main())"
    return [sys.executable, "-c", program, *arguments]


def kill(arguments, run, generator):
    """Let a run begin to learn, and kill it within the next 300 ms."""
    state = run / "state" / "state.safetensors"
    before = state.stat().st_mtime_ns if state.exists() else 0
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        while not state.exists() or state.stat().st_mtime_ns == before:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
