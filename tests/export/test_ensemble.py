# SPDX-License-Identifier: Apache-2.0
"""An ensemble of train to one that the runtime runs: members proven each, and their vote."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from aminet_export import ensemble as ensemble_module
from aminet_export.cli import main
from aminet_export.ensemble import EnsembleReport, export_ensemble
from aminet_export.ensemble_votes import MemberAnswers, answers_of_bundle, judge_votes
from aminet_export.plan import Backend, Listeners
from aminet_export.runs import data_of_members, newest_run
from aminet_export.source import cohorts_for
from aminet_runtime.ensemble_bundle import EnsembleBundle
from aminet_runtime.errors import (
    GateFailed,
    InputInconsistent,
    InputMissing,
    ModelIncompatible,
    ModelUntrusted,
)
from aminet_runtime.metadata import Approach, Precision
from aminet_runtime.sessions import open_session
from aminet_train.checkpoint import load_info, load_network, save_checkpoint
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.splits import Split
from aminet_train.ensemble import assemble
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.run_folder import RunFolder
from aminet_train.judging.answers import PatientAnswer
from aminet_train.judging.evaluation import evaluate_checkpoint
from aminet_train.networks.simple_cnn import SimpleCnnConfig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx and nncf

NAMES = ["1-simple_cnn-fp32", "2-simple_cnn-fp32", "3-spiral-fp32"]


@pytest.fixture(scope="module")
def members(simple, spiral, tmp_path_factory):
    """Two networks and the SPIRAL threshold, below runs/."""
    runs = tmp_path_factory.mktemp("ensemble") / "runs"
    config = TrainConfig(
        data=(simple.data,),
        approach=load_info(simple.checkpoint).approach,
        network=SimpleCnnConfig(),
    )
    for name, noise in (("first", 0.0), ("second", 0.02)):
        RunFolder(runs / name).begin(config, "")
        _save_noisy(simple.checkpoint, runs / name / "checkpoint", noise)
    shutil.copytree(spiral.checkpoint, runs / "third" / "checkpoint")
    return [runs / name / "checkpoint" for name in ("first", "second", "third")]


@pytest.fixture(scope="module")
def data(simple, spiral, members):
    """The cohorts of the networks and of the threshold, with one truth."""
    maps = shutil.copytree(spiral.data, members[0].parents[2] / "maps")
    cohort = PreparedCohort.open(simple.data)
    for name in cohort.patient_ids():
        shutil.copy(cohort.patient(name).folder / "labels.npy", maps / "patients" / name)
    about = {"approach": "spiral", "data": [str(maps)]}
    (members[2].parent / "config.json").write_text(json.dumps(about))
    return simple.data, maps


@pytest.fixture(scope="module")
def together(members):
    return assemble(members, members[0].parents[1] / "together")


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def plan(simple, together, data, tmp_path_factory):
    output = tmp_path_factory.mktemp("export") / "vote-of-three"
    return simple.plan(
        output, checkpoint=together, data=data, precision=Precision.FP32, backend=Backend.OPENVINO
    )


@pytest.fixture(scope="module")
def report(plan, steps) -> EnsembleReport:
    return export_ensemble(plan, Listeners(on_step=lambda step: steps.append(step.name)))


def _save_noisy(source, target, noise):
    info = load_info(source)
    network = load_network(source, info)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for values in network.parameters():
            scale = noise * values.abs().mean()
            values.add_(scale * torch.randn(values.shape, generator=generator))
    save_checkpoint(target, network, info)


def test_the_runtime_opens_every_member(report):
    bundle = EnsembleBundle.open(report.bundle)

    assert bundle.name == "vote-of-three"
    assert [member.path.name for member in bundle.members] == NAMES
    assert [member.metadata.name for member in bundle.members] == NAMES
    assert bundle.metadata.approach is Approach.ENSEMBLE
    assert bundle.metadata.precision is Precision.FP32


def test_the_runtime_runs_it_on_a_patient_folder(report, workshop):
    with open_session(report.bundle) as session:
        result = session.run(workshop.patient)
    assert {region.probability for region in result.regions} <= {0, 1 / 3, 2 / 3, 1}


def test_the_figures_are_about_the_test_patients_of_the_evaluation(report, together, data):
    """The counts of truth are the same; the rules are not, since export chooses them anew."""
    expected = evaluate_checkpoint(together, data, Split.TEST)
    assert report.voted.patient_count == expected["patients"]
    for level in ("slice", "patient"):
        for first, second in (("tp", "fn"), ("fp", "tn")):
            found = report.voted.shipped[level]
            assert found[first] + found[second] == expected[level][first] + expected[level][second]


def test_the_receipt_has_both_levels_of_vote_and_members(report):
    receipt = json.loads((report.bundle / "votes.json").read_text())

    assert receipt["shipped"]["patient"]["f1"] == report.voted.shipped["patient"]["f1"] > 0
    assert receipt["shipped"]["slice"]["f1"] > 0
    assert list(receipt["members"]) == NAMES
    assert receipt["max_drop"] == 0.25
    drop = report.voted.drops["slice"]
    assert (
        receipt["drops"]["slice"]["reference"] == drop.reference == receipt["float"]["slice"]["f1"]
    )
    assert "votes.json" in (report.bundle / "SHA256SUMS").read_text()


def test_the_card_shows_the_vote_beside_its_members(report):
    card = (report.bundle / "README.md").read_text()
    f1 = report.voted.shipped["patient"]["f1"]

    assert f"{f1:.3f}" in next(line for line in card.splitlines() if "**vote**" in line)
    assert "| `3-spiral-fp32` | spiral | fp32 | spiral, atlas |" in card
    assert "Not a medical device" in card


def test_names_the_steps_of_each_member(report, steps):
    assert steps[0] == "load ensemble"
    assert steps.index(NAMES[0]) < steps.index("3-spiral-fp32: trace")
    assert steps[-3:] == ["vote", "card", "publish"]
    assert [step.name for step in report.steps] == steps


@pytest.mark.slow
def test_the_threshold_stays_float_where_networks_are_quantised(plan, tmp_path):
    asked = replace(plan, precision=Precision.INT8, output=tmp_path / "mixed")

    report = export_ensemble(asked)

    bundle = EnsembleBundle.open(report.bundle)
    assert bundle.metadata.precision is Precision.MIXED
    assert [member.metadata.precision for member in bundle.members] == ["int8", "int8", "fp32"]
    assert all(drop.drop <= plan.max_drop for drop in report.voted.drops.values())


def test_a_member_that_is_a_bundle_is_scored_by_the_runtime(report, data):
    exported = report.voted.members[NAMES[0]]
    bundle = report.bundle / "members" / NAMES[0]

    answers = answers_of_bundle(bundle, data[:1])
    voted = judge_votes([answers] * 3, precision=Precision.INT8, max_drop=0)

    # the same engine on the same slices, and the same rule for patients
    assert voted.shipped["patient"]["f1"] == exported["patient"]["f1"]


def test_refuses_a_bundle_that_was_trained_on_test_patients(report, data, tmp_path):
    other = shutil.copytree(data[0], tmp_path / "other")
    splits = json.loads((other / "splits.json").read_text())
    text = json.dumps(splits)
    text = text.replace('"test"', '"was test"').replace('"train"', '"test"')
    (other / "splits.json").write_text(text.replace('"was test"', '"train"'))

    with pytest.raises(InputInconsistent, match="trained on test patient"):
        answers_of_bundle(report.bundle / "members" / NAMES[0], [other])


def answers_with(flag, *, labels=None):
    flags = np.full((4, 15), flag)
    answer = PatientAnswer(flags.astype(np.float32), flags, flags[0].astype(np.float32), flags[0])
    return {"p": answer}, {"p": np.ones((4, 15), np.uint8) if labels is None else labels}


def member(reference, shipped, **truth):
    answers, labels = answers_with(reference, **truth)
    return MemberAnswers("member", labels, answers, answers_with(shipped)[0])


def test_a_vote_that_loses_too_much_is_not_published():
    """One blind member is outvoted, two are not."""
    fine, blind = member(True, True), member(True, False)
    judge_votes([fine, fine, blind], precision=Precision.INT8, max_drop=0.01)

    with pytest.raises(GateFailed, match=r"int8 loses more than 0\.01 of F1 on 1 test patients"):
        judge_votes([fine, blind, blind], precision=Precision.INT8, max_drop=0.01)


def test_members_are_tested_on_the_same_patients():
    other = member(True, True, labels=np.zeros((4, 15), np.uint8))

    with pytest.raises(InputInconsistent, match="tested on different patients"):
        judge_votes([member(True, True), other, other], precision=Precision.FP32, max_drop=0.01)


def test_each_member_takes_the_cohorts_that_were_prepared_for_it(members, data):
    assert cohorts_for(load_info(members[0]), data) == data[:1]
    assert cohorts_for(load_info(members[2]), data) == data[1:]
    assert cohorts_for(load_info(members[2]), data[:1]) == data[:1]  # which will be refused


def test_a_failure_names_member_and_step_and_leaves_nothing(plan, tmp_path):
    alone = replace(plan, data=plan.data[1:], output=tmp_path / "out" / "bundle")

    said = f"step '{NAMES[0]}': step 'load checkpoint': the data was prepared with other"
    with pytest.raises(ModelIncompatible, match=said):
        export_ensemble(alone)

    assert list((tmp_path / "out").iterdir()) == []


def test_a_member_that_was_changed_is_not_exported(plan, together, tmp_path):
    changed = shutil.copytree(together, tmp_path / "changed")
    (changed / "members" / "2-second" / "checkpoint.json").write_text("{}")

    with pytest.raises(ModelUntrusted, match="step 'load ensemble'"):
        export_ensemble(replace(plan, checkpoint=changed, output=tmp_path / "bundle"))


@pytest.mark.usefixtures("together")
def test_needs_no_further_flags(members, data, monkeypatch, capsys):
    monkeypatch.chdir(members[0].parents[2])
    plans = []

    def remember(plan, _listeners):
        plans.append(plan)
        raise InputMissing("enough")

    monkeypatch.setattr(ensemble_module, "export_ensemble", remember)

    assert main(["--model", "ensemble", "--int8"]) == 10
    assert "enough" in capsys.readouterr().err
    assert plans[0].checkpoint.name == "together"
    assert plans[0].data == data
    assert plans[0].output.name == "ensemble-int8"


def test_says_what_to_do_where_the_runs_are_gone(together, tmp_path):
    with pytest.raises(InputMissing, match="name the data of all members with --data"):
        data_of_members(together, tmp_path)
    with pytest.raises(InputMissing, match=r"no finished run of ensemble.*--members A B C"):
        newest_run("ensemble", tmp_path)
