# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from aminet_benchmarks.phantom import cli
from aminet_runtime.threads import available_threads
from aminet_runtime.version import VERSION
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.splits import Split, Splits, read_splits, write_splits

TINY = ["--shape", "48", "48", "16", "--jobs", "1"]


def test_writes_a_cohort_and_prints_its_folders(tmp_path, capsys):
    out = tmp_path / "cohort"

    code = cli.main([str(out), "--patients", "2", "--seed", "3", *TINY])

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        str(out / "p0300000"),
        str(out / "p0300001"),
    ]
    assert (out / "p0300001" / "CTA2regA.nii.gz").is_file()


def test_writes_twins(tmp_path):
    assert cli.main([str(tmp_path), *TINY, "--twin", "mirror"]) == 0

    truth = json.loads((tmp_path / "p0000000" / "phantom.json").read_text())
    assert truth["twin"] == "mirror"


def test_writes_twins_of_test_patients_alone(tmp_path, capsys):
    write_splits(
        tmp_path / "prepared", Splits({Split.TRAIN: ("p0000000",), Split.TEST: ("p0000001",)})
    )
    out = tmp_path / "twins"
    asked = [str(out), "--patients", "2", "--twin", "none", *TINY]

    assert cli.main([*asked, "--tested-by", str(tmp_path / "prepared")]) == 0

    assert capsys.readouterr().out.splitlines() == [str(out / "p0000001")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "easy"], "error[E0200]: preset 'easy' is unknown; use report or hard"),
        (["--shape", "4", "4", "4"], "error[E0200]: shape (4, 4, 4) is outside of"),
        (["--patients", "0"], "error[E0200]: --patients 0 is not 1 to 100000"),
    ],
)
def test_bad_option_is_one_line_and_exit_code_2(options, message, tmp_path, capsys):
    code = cli.main([str(tmp_path / "out"), *options])

    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith(f"aminet-phantom: {message}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prepare", "OUT", "--seed", "-1"], "--seed -1 is below 0"),
        (["prepare", "OUT", "--jobs", "0"], "--jobs 0 is below 1"),
        (["prepare", "OUT", "--patients", "0"], "--patients 0 is not 1 to 100000"),
        (["prepare", "OUT", "--patients", "-3"], "--patients -3 is not 1 to 100000"),
        (["probe", "--jobs", "0"], "--jobs 0 is below 1"),
        (["sheet", "OUT/sheet.png", "--seeds", "3", "-1"], "--seeds -1 is below 0"),
        (["differences", "OUT/sheet.png", "--seeds", "-1"], "--seeds -1 is below 0"),
        (["fetch-anatomy", "OUT", "--host", "http://["], "--host http://[ is no address"),
        (["fetch-anatomy", "OUT", "--host", "http://"], "--host http:// is no address"),
    ],
)
def test_numbers_and_hosts_that_cannot_be_are_exit_code_2(words, message, tmp_path, capsys):
    out = tmp_path / "out"

    assert cli.main([word.replace("OUT", str(out)) for word in words]) == 2

    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_place_that_cannot_be_written_is_exit_code_30(tmp_path, capsys):
    (tmp_path / "file").write_text("")

    assert cli.main([str(tmp_path / "file"), *TINY]) == 30
    assert capsys.readouterr().err.count("\n") == 1


def test_another_cohort_in_the_way_is_exit_code_31(tmp_path, capsys):
    cli.main([str(tmp_path), *TINY])
    capsys.readouterr()

    code = cli.main([str(tmp_path), *TINY, "--twin", "none"])

    assert code == 31
    assert "p0000000: there is another patient of this name" in capsys.readouterr().err


def test_help_has_an_example_and_version_tells_it(capsys):
    for option, expected in (
        ("--help", "aminet-phantom cohort --patients 20"),
        ("--version", VERSION),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main([option])
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


def test_help_lists_each_verb_and_each_verb_has_help_with_an_example(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = capsys.readouterr().out

    for name, verb in cli.VERBS.items():
        assert f"aminet-phantom {name}" in listed
        assert verb.summary in listed
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--help"])
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"usage: aminet-phantom {name}")
        assert f"example:\n  aminet-phantom {name}" in shown


def test_uses_all_cores_by_default(monkeypatch, tmp_path):
    plans = []
    monkeypatch.setattr(
        "aminet_benchmarks.phantom.cohort.write_cohort",
        lambda plan, on_progress: plans.append(plan) or [],  # noqa: ARG005 - the real signature
    )

    assert cli.main([str(tmp_path)]) == 0
    assert plans[0].jobs == available_threads()


def test_folder_named_like_a_verb_is_written_as_a_path(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert cli.main(["./validate", *TINY]) == 0
    assert capsys.readouterr().out == "validate/p0000000\n"


def test_validation_refuses_no_patients(capsys):
    assert cli.main(["validate", "--patients", "0"]) == 2
    assert "--patients 0 is below 1" in capsys.readouterr().err


def test_truth_stands_behind_each_folder(tmp_path, capsys):
    assert cli.main([str(tmp_path), *TINY, "--truth"]) == 0
    truth = json.loads((tmp_path / "p0000000" / "phantom.json").read_text())
    expected = ", ".join(truth["region_names"]) or "no clot"
    assert capsys.readouterr().out == f"{tmp_path / 'p0000000'}: the truth is {expected}\n"


def test_prepares_phantoms_for_training(tmp_path):
    arguments = ["prepare", str(tmp_path), *TINY, "--channels", "arterial", "--split", "test"]
    assert cli.main([*arguments, "--negatives", "2"]) == 0
    prepared = PreparedCohort.open(tmp_path)
    assert prepared.patient_ids() == ["p0000000"]
    assert read_splits(tmp_path)[Split.TEST] == ("p0000000",)


def test_unknown_channels_are_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["prepare", str(tmp_path / "out"), *TINY, "--channels", "mri"])
    assert ended.value.code == 2
    assert "--channels: invalid choice: 'mri' (choose from" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
