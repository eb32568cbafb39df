# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

import aminet_benchmarks.phantom.cli
import aminet_benchmarks.phantom.commands.prepare
import aminet_train.commands.evaluate
import aminet_train.commands.prepare
import aminet_train.commands.train
from aminet_benchmarks.reference.networks import MEMBERS, TRAININGS
from aminet_benchmarks.reference.plan import QUICK, StudyConfig, study_stages
from aminet_benchmarks.reference.stage import Again

FULL = StudyConfig()
COMMANDS = {
    "aminet-phantom": aminet_benchmarks.phantom.cli,
    "aminet-prepare": aminet_train.commands.prepare,
    "aminet-train": aminet_train.commands.train,
    "aminet-evaluate": aminet_train.commands.evaluate,
}


@pytest.mark.parametrize("config", [FULL, QUICK], ids=["full", "quick"])
def test_commands_understand_every_word(config, monkeypatch):
    for module in (*COMMANDS.values(), aminet_benchmarks.phantom.commands.prepare):
        monkeypatch.setattr(module, "run_command", lambda *_work, **_options: 0)
    for stage in study_stages(config):
        name, *words = stage.command
        assert COMMANDS[name].main(words) == 0


def test_stages_find_what_earlier_ones_left():
    there: set[str] = set()
    for stage in study_stages(FULL):
        wanted = {
            word.rpartition("=")[2].removesuffix("/checkpoint")
            for word in stage.command[1:]
            if word.startswith(("cohort", "prepared", "runs/", "new-patients=")) or word == "twins"
        }
        assert wanted - {str(stage.output)} <= there
        there.add(str(stage.output))


def test_names_and_places_are_unique():
    stages = study_stages(FULL)
    assert len({stage.name for stage in stages}) == len(stages)
    assert len({stage.output for stage in stages}) == len(stages)
    assert len({stage.log for stage in stages} | {stage.record for stage in stages}) == 2 * len(
        stages
    )


def test_every_approach_of_the_report_is_there():
    models = {training.model for training in TRAININGS if not training.by_slice}
    assert models == {"simple_cnn", "mobilenetv2", "efficientformerv2"}
    assert {training.channels for training in TRAININGS} >= {"cta", "spiral", "cta+spiral"}
    assert set(MEMBERS) <= {training.name for training in TRAININGS}
    assert "train-spiral" in {stage.name for stage in study_stages(FULL)}


def test_only_a_split_by_slices_leaks():
    by_name = {stage.name: stage.command for stage in study_stages(FULL)}
    leaking = {name for name, command in by_name.items() if "--split-by" in command}
    assert leaking == {"prepared-cta-by-slice"}


def test_weights_and_padding_belong_to_mobilenetv2():
    config = replace(FULL, weights="file", padding="same")
    for stage in study_stages(config):
        is_ours = stage.command[:3] == ("aminet-train", "--model", "mobilenetv2")
        assert ("--padding" in stage.command) == is_ours


def test_trainings_go_on_with_their_run():
    stages = {stage.name: stage.again for stage in study_stages(FULL)}
    assert stages["train-mobilenetv2-cta"] is Again.RESUME
    assert stages["train-spiral"] is Again.ANEW
    assert stages["cohort"] is Again.SAME


def test_quick_study_learns_one_epoch():
    commands = [s.command for s in study_stages(QUICK) if s.again is Again.RESUME]
    epochs = {command[command.index("--epochs") + 1] for command in commands}
    assert epochs == {"1"}
