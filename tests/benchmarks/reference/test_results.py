# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.reference.plan import QUICK, StudyConfig, study_stages
from aminet_benchmarks.reference.stage import Record, write_record
from aminet_benchmarks.reference.tables import LABELS, results
from aminet_runtime.errors import InputMissing

SHARES = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "f1_ci95": [0.2, 0.45]}
LEVEL = {**SHARES, "accuracy": 0.9871, "average_precision": 0.3}
RULE = {"patient_thresholds": [0.4] * 14 + [0.6], "slice_threshold": 0.7}
TWIN = {"flags": 9, "true_flags": 6, "twin_flags": 4, "true_flags_that_vanish": 0.5}


def model(label: str, **more: object) -> dict[str, object]:
    rule = None if label == "ensemble" else {**RULE, "min_consecutive_slices": 2}
    base = {"label": label, "patients": 25, "rule": rule, "slice": LEVEL, "patient": LEVEL}
    return {**base, **more}


@pytest.fixture
def study(tmp_path):
    """A folder with the evaluations of a study that has ended."""
    twin = {**TWIN, "flags_that_stay": 0.25}
    twins = {"patients": 25, "slice": twin, "patient": twin}
    leaking = "mobilenetv2-cta-by-slice"
    reports = {
        "by-patient": {"models": [model(name) for name in LABELS if "by-slice" not in name]},
        "twins": {"models": [model("spiral", twins=twins), model("ensemble", twins=twins)]},
        "by-slice": model(leaking, compare={"new-patients": model(leaking, patients=7)}),
    }
    for name, report in reports.items():
        folder = tmp_path / "evaluation" / name
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps(report))
    for stage in study_stages(StudyConfig()):
        (tmp_path / stage.output).parent.mkdir(exist_ok=True)
        write_record(tmp_path, stage, Record(stage.command, 123.4, 99.6, 1, "2030-01-01T00:00:00Z"))
    return tmp_path


def test_page_has_every_approach_at_both_levels(study):
    page = results(study, study_stages(StudyConfig()))
    row = "| `spiral` | .500 | .250 | .333 (.200 to .450) | 0.9871 | .300 |"
    assert page.count(row) == 2
    for name, label in LABELS.items():
        if "by-slice" not in name:
            assert page.count(f"| {label} | `{name}` |") >= 2


def test_page_tells_rules_and_time_of_training(study):
    page = results(study, study_stages(StudyConfig()))
    assert "| `spiral` | 0.700 | 0.400 to 0.600 | 2 | 123 (100 of processor) |" in page
    assert "| `ensemble` | majority | majority |" in page


def test_page_calls_leaking_what_leaks(study):
    page = results(study, study_stages(StudyConfig()))
    leaking = page[page.index("## By slices (leaking:") :]
    assert "on 7 patients whom they have not seen" in leaking
    assert "by-slice`" not in page[: page.index("### Rules")]


def test_page_shows_twins_and_commands_without_paths_of_this_machine(study):
    weights = str(study.resolve() / "weights.safetensors")
    page = results(study, study_stages(StudyConfig(weights=weights)))
    assert "| patient | 9 | 4 | 50% of 6 | 25% |" in page
    assert "--weights weights.safetensors" in page
    assert str(study) not in page


def test_page_needs_all_evaluations(study):
    (study / "evaluation" / "twins" / "report.json").unlink()
    with pytest.raises(InputMissing, match="run all stages"):
        results(study, study_stages(StudyConfig()))


def test_command_lists_stages_and_what_has_ended(tmp_path, capsys):
    cohort = study_stages(QUICK)[0]
    write_record(tmp_path, cohort, Record(cohort.command, 1.0, 1.0, 1, "2030-01-01T00:00:00Z"))

    assert main(["reference", "-o", str(tmp_path), "--quick", "--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    command = "--patients 24 --seed 500 --preset report --shape 128 128 64 --jobs 1"
    assert lines[:2] == ["cohort (ended)", f"  aminet-phantom cohort {command}"]
    assert "train-mobilenetv2-cta (to do)" in lines


def test_command_refuses_a_stage_that_it_does_not_know(tmp_path, capsys):
    assert main(["reference", "-o", str(tmp_path), "--stages", "coffee"]) == 2
    assert "there is no stage coffee; see --list" in capsys.readouterr().err


def test_command_runs_the_stages_that_are_named(tmp_path, capsys, monkeypatch):
    ran = []

    def run_stage(root: Path, stage: object) -> None:
        ran.append(stage.name)
        write_record(root, stage, Record(stage.command, 2.0, 1.0, 1, "2030-01-01T00:00:00Z"))

    monkeypatch.setattr("aminet_benchmarks.reference.run.run_stage", run_stage)
    asked = ["reference", "-o", str(tmp_path), "--quick", "--stages", "train-spiral", "cohort"]

    assert main(asked) == 0

    assert ran == ["cohort", "train-spiral"]
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["[1/2] cohort: begins", "[1/2] cohort: 2 s, of processor 1"]


def test_command_writes_the_page_when_all_has_ended(study, capsys, monkeypatch):
    monkeypatch.setattr("aminet_benchmarks.reference.run.has_ended", lambda _root, _stage: True)
    assert main(["reference", "-o", str(study), "-q"]) == 0
    assert capsys.readouterr().out.strip() == str(study / "results.md")
    page = (study / "results.md").read_text()
    assert page.startswith("# Reference results\n\nMade by `aminet-benchmark reference -o")
