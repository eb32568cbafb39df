# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from aminet_runtime.errors import InputInconsistent, ModelInvalid, ModelUntrusted, UsageError
from aminet_runtime.regions import Regions
from aminet_train.commands.train import main as train_main
from aminet_train.ensemble import assemble, load_ensemble
from aminet_train.judging.candidates import open_candidate
from aminet_train.judging.evaluation import EvaluationPlan, evaluate


@pytest.fixture
def ensemble(judged_models, tmp_path):
    return assemble(list(judged_models.values()), tmp_path / "ensemble")


def test_comes_back_with_its_members(ensemble):
    loaded = load_ensemble(ensemble)
    assert [member.name for member in loaded.members] == ["1-first", "2-second", "3-third"]
    assert {member.approach for member in loaded.members} == {"simple_cnn"}
    assert loaded.votes_needed == 2


def test_two_of_three_decide_each_pair(ensemble, judged_models, prepared_cohort):
    data = (prepared_cohort.root,)
    models = (("vote", ensemble), *judged_models.items())
    vote, *members = evaluate(EvaluationPlan(models, data)).main
    for patient in vote.patients:
        for level in ("slice_flags", "region_flags"):
            votes = sum(
                getattr(member.answers[patient.patient_id], level).astype(int) for member in members
            )
            decided = getattr(vote.answers[patient.patient_id], level)
            assert (decided == (votes >= 2)).all()


def test_is_opened_like_any_model(ensemble):
    candidate = open_candidate(ensemble)
    assert (candidate.label, candidate.approach) == ("ensemble", "ensemble")


def test_refuses_a_number_that_may_end_in_a_draw(judged_models, tmp_path):
    first, second, _third = judged_models.values()
    with pytest.raises(UsageError, match="2 members cannot vote without a draw"):
        assemble([first, second], tmp_path / "even")
    with pytest.raises(UsageError, match="named twice"):
        assemble([first, second, first], tmp_path / "twice")


def test_refuses_a_member_that_was_changed(ensemble):
    path = ensemble / "members" / "2-second" / "checkpoint.json"
    path.write_text(path.read_text().replace("0.5", "0.6"))
    with pytest.raises(ModelUntrusted, match="2-second: this member is not the one"):
        load_ensemble(ensemble)


@pytest.mark.parametrize("name", ["../outside", "", "a/b"])
def test_refuses_a_member_outside_of_its_folder(ensemble, name):
    path = ensemble / "ensemble.json"
    values = json.loads(path.read_text())
    values["members"][0]["name"] = name
    path.write_text(json.dumps(values))
    with pytest.raises(ModelInvalid, match="no proper names"):
        load_ensemble(ensemble)


def test_refuses_members_of_other_regions(judged_models, tmp_path, write_network):
    other = write_network(tmp_path / "other", seed=9, regions=Regions.numbered())
    first, second, _third = judged_models.values()
    with pytest.raises(InputInconsistent, match="different regions"):
        assemble([first, second, other], tmp_path / "mixed")


def test_command_puts_members_together(judged_models, tmp_path, capsys):
    arguments = ["--model", "ensemble", "--run", str(tmp_path / "vote")]
    assert train_main(arguments) == 2
    assert "add --members A B C" in capsys.readouterr().err
    assert train_main([*arguments, "--members", *map(str, judged_models.values())]) == 0
    assert len(load_ensemble(tmp_path / "vote").members) == 3
