# SPDX-License-Identifier: Apache-2.0
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from aminet_runtime.errors import InputInconsistent, InputMissing, UsageError
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.splits import Split, all_in, split_slices, write_splits
from aminet_train.commands.evaluate import main
from aminet_train.judging.evaluation import EvaluationPlan, evaluate, evaluate_checkpoint
from aminet_train.judging.examples import Outcome, some_hits, worst_mistakes


@pytest.fixture
def arguments(judged_models, prepared_cohort):
    models = [f"{label}={path}" for label, path in judged_models.items()]
    return [*models, "--data", str(prepared_cohort.root)]


def twins_of(cohort, root):
    """Copy a cohort and take the labels away: twins that look like their patients."""
    shutil.copytree(cohort.root, root)
    for path in root.rglob("labels.npy"):
        np.save(path, np.zeros_like(np.load(path)))
    return root


def test_one_model_is_reported_flat(judged_models, prepared_cohort):
    report = evaluate_checkpoint(judged_models["first"], [prepared_cohort.root], Split.TEST)
    assert (report["split"], report["approach"]) == ("test", "simple_cnn")
    assert {"tp", "fp", "fn", "tn", "precision", "recall", "f1", "accuracy", "f1_ci95"} <= set(
        report["patient"]
    )
    assert len(report["per_region"]) == 15
    assert report["per_region"][4]["name"] == "territory 4"
    assert report["leaking"] is False


def test_models_side_by_side_are_compared_in_pairs(arguments, capsys):
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [model["label"] for model in report["models"]] == ["first", "second", "third"]
    assert len(report["comparisons"]) == 3
    one = report["comparisons"][0]["slice"]
    expected = report["models"][0]["slice"]["f1"] - report["models"][1]["slice"]["f1"]
    assert one["f1_difference"] == pytest.approx(expected)
    assert one["ci95"][0] <= one["f1_difference"] <= one["ci95"][1]


def test_text_names_both_levels_and_says_what_0_of_0_is(arguments, capsys):
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Results on 4 test patients" in printed
    assert "0/0 counts as 0" in printed
    assert "leaking" not in printed


def test_a_split_by_slices_is_called_leaking_in_every_table(
    judged_models, prepared_cohort, tmp_path, capsys
):
    root = tmp_path / "by-slice"
    shutil.copytree(prepared_cohort.root, root)
    write_splits(root, split_slices(prepared_cohort.patient_ids(), seed=0))
    arguments = [str(judged_models["first"]), "--data", str(root)]
    assert main([*arguments, "--markdown"]) == 0
    printed = capsys.readouterr().out
    titles = [line for line in printed.splitlines() if line.startswith("#")]
    assert len(titles) > 2
    assert all("leaking: slices of one patient on both sides" in title for title in titles)
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["leaking"] is True


def test_twins_that_look_alike_keep_every_flag(judged_models, prepared_cohort, tmp_path):
    twins = twins_of(prepared_cohort, tmp_path / "twins")
    plan = EvaluationPlan(
        (("first", judged_models["first"]),), (prepared_cohort.root,), twins=(twins,)
    )
    figures = evaluate(plan).main[0].report["twins"]
    assert figures["slice"]["flags"] == figures["slice"]["twin_flags"] > 0
    assert figures["slice"]["flags_that_stay"] == 1.0
    assert figures["slice"]["true_flags_that_vanish"] == 0.0


def test_a_twin_with_a_clot_is_refused(judged_models, prepared_cohort):
    data = (prepared_cohort.root,)
    plan = EvaluationPlan((("first", judged_models["first"]),), data, twins=data)
    with pytest.raises(InputInconsistent, match="has a clot"):
        evaluate(plan)


def test_another_set_of_patients_stands_beside_the_first(
    arguments, prepared_cohort, tmp_path, capsys
):
    root = tmp_path / "known"
    shutil.copytree(prepared_cohort.root, root)
    write_splits(root, all_in(Split.TEST, prepared_cohort.patient_ids()[:6]))
    assert main([arguments[0], *arguments[3:], "--compare", f"known={root}", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["patients"] == 4
    assert report["compare"]["known"]["patients"] == 6


def test_report_folder_has_tables_and_pictures(arguments, tmp_path, capsys):
    target = tmp_path / "report"
    assert main([*arguments, "-o", str(target), "-q"]) == 0
    capsys.readouterr()
    names = {path.name for path in target.iterdir()}
    curves = {"precision-recall.png", "reliability.png"}
    pictures = {*curves, "mistakes-first.png", "hits-first.png"}
    assert {"report.json", "report.md", *pictures} <= names
    for name in pictures:
        with Image.open(target / name) as image:
            assert min(image.size) > 300
        assert f"({name})" in (target / "report.md").read_text()


def test_worst_mistakes_are_sorted_and_wrong(judged_models, prepared_cohort):
    plan = EvaluationPlan((("first", judged_models["first"]),), (prepared_cohort.root,))
    judged = evaluate(plan).main[0]
    mistakes = worst_mistakes(judged, count=3)
    in_vain = [one for one in mistakes if one.outcome is Outcome.IN_VAIN]
    assert [one.score for one in in_vain] == sorted((m.score for m in in_vain), reverse=True)
    for one in mistakes:
        affected = bool(one.patient.truth.labels[:, one.region].any())
        assert affected is (one.outcome is Outcome.MISSED)


def test_hits_are_true_and_go_from_sure_to_unsure(judged_models, prepared_cohort):
    plan = EvaluationPlan((("first", judged_models["first"]),), (prepared_cohort.root,))
    judged = evaluate(plan).main[0]
    hits = some_hits(judged, count=3)
    assert 0 < len(hits) <= 3
    assert [one.score for one in hits] == sorted((one.score for one in hits), reverse=True)
    assert all(one.patient.truth.labels[:, one.region].any() for one in hits)


def test_a_model_says_what_it_wants_to_read(judged_models, prepared_cohort, tmp_path):
    root = tmp_path / "other"
    shutil.copytree(prepared_cohort.root, root)
    values = json.loads((root / "prepared.json").read_text())
    values["preprocessing"]["channels"] = ["cta1"]
    (root / "prepared.json").write_text(json.dumps(values))
    assert PreparedCohort.open(root)
    with pytest.raises(InputMissing, match=r"first reads cta2 at 64 x 64.*hold cta1 at 64 x 64"):
        evaluate(EvaluationPlan((("first", judged_models["first"]),), (root,)))


def test_two_models_of_one_name_are_refused(judged_models, prepared_cohort):
    models = (("same", judged_models["first"]), ("same", judged_models["second"]))
    with pytest.raises(UsageError, match="two models are called same"):
        evaluate(EvaluationPlan(models, (prepared_cohort.root,)))


def test_compare_needs_a_name(arguments, capsys):
    assert main([*arguments, "--compare", "somewhere"]) == 2
    assert "write NAME=PREPARED" in capsys.readouterr().err
