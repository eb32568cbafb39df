# SPDX-License-Identifier: Apache-2.0
import os
import shutil

import pytest

from aminet_export.runs import data_of, newest_run
from aminet_runtime.errors import InputMissing
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.run_folder import RunFolder
from aminet_train.networks import Approach
from aminet_train.networks.simple_cnn import SimpleCnnConfig


@pytest.fixture
def runs(simple, tmp_path):
    """Two runs of one approach, the later one named as if it were the earlier."""
    for name, seconds in (("b-first", 1000), ("a-second", 2000)):
        folder = tmp_path / "runs" / name / "checkpoint"
        shutil.copytree(simple.checkpoint, folder)
        os.utime(folder / "checkpoint.json", (seconds, seconds))
    return tmp_path / "runs"


def test_takes_the_run_that_finished_last(runs):
    assert newest_run("simple_cnn", runs) == runs / "a-second" / "checkpoint"


def test_passes_over_runs_that_did_not_finish(runs):
    (runs / "a-second" / "checkpoint" / "checkpoint.json").write_text("{")
    (runs / "c-third").mkdir()

    assert newest_run("simple_cnn", runs) == runs / "b-first" / "checkpoint"


def test_says_what_to_do_where_there_is_no_run(runs):
    with pytest.raises(InputMissing) as refused:
        newest_run("mobilenetv2", runs)

    assert "there is no finished run of mobilenetv2" in str(refused.value)
    assert "aminet-train --model mobilenetv2 --data PREPARED" in str(refused.value)
    assert "--checkpoint FOLDER --data PREPARED" in str(refused.value)


def begin(folder, *data):
    config = TrainConfig(data=data, approach=Approach.SIMPLE_CNN, network=SimpleCnnConfig())
    RunFolder(folder).begin(config, "")
    return folder / "checkpoint"


def test_finds_the_data_that_the_run_names(tmp_path, workshop):
    assert data_of(begin(tmp_path / "run", workshop.root)) == (workshop.root,)


def test_says_what_to_do_where_the_data_are_gone(tmp_path):
    with pytest.raises(InputMissing, match="gone is not where it was; name it with --data"):
        data_of(begin(tmp_path / "run", tmp_path / "gone"))


@pytest.mark.parametrize("content", [None, "{", "model = 'unknown'"])
def test_says_what_to_do_where_the_run_names_no_data(runs, content):
    if content is not None:
        (runs / "a-second" / "config.toml").write_text(content)

    with pytest.raises(InputMissing, match="the run names no data; name it with --data PREPARED"):
        data_of(runs / "a-second" / "checkpoint")
