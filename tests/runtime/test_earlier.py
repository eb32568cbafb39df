# SPDX-License-Identifier: Apache-2.0
"""--skip-done: a result is taken if, and only if, another run would say the same."""

import json
import signal
import time

import pytest

from aminet_runtime.cli import main
from aminet_runtime.errors import InputDamaged
from aminet_runtime.report.page import refusal_page

STAMP = "2000-01-01T00:00:00Z"


@pytest.fixture
def run(build_bundle, tmp_path, capsys):
    """Run patients with --skip-done, and return code, stdout and stderr."""

    def with_options(*words, output="results", **recipe):
        place = ("-o", str(tmp_path / output), "--skip-done", "--threads", "1")
        code = main(["--bundle", str(build_bundle(**recipe)), *map(str, words), *place])
        answer = capsys.readouterr()
        return code, answer.out, answer.err

    return with_options


@pytest.fixture
def done(run, write_patient, tmp_path):
    """A patient that was run, and its result file."""
    folder = write_patient("379")
    run(folder)
    return folder, tmp_path / "results" / "379" / "result.json"


def stamp(result):
    """Mark a result and its report so that new ones can be told from them."""
    values = json.loads(result.read_bytes())
    report = result.with_name("report.html")
    page = report.read_text(encoding="utf-8")
    report.write_text(page.replace(values["created"], STAMP), encoding="utf-8")
    values["created"] = STAMP
    result.write_text(json.dumps(values))


def was_kept(result):
    return json.loads(result.read_bytes())["created"].startswith("2000")


def test_what_is_done_is_not_done_again(run, done):
    folder, result = done
    stamp(result)

    assert run(folder) == (0, "379: done before\n", "")
    assert was_kept(result)


def test_run_goes_on_where_it_stopped(run, done, write_patient):
    folder, result = done
    stamp(result)

    code, out, _ = run(folder, write_patient("380", affected=()))

    assert code == 0
    assert out.splitlines()[-5:] == [
        "patient  outcome",
        "379      flagged: Territory E, Territory H; done before",
        "380      flagged: none",
        "2 patients: 1 with flagged regions, 1 without, 1 done before.",
        "",
    ]
    assert was_kept(result)


def test_several_jobs_skip_too(run, done, write_patient):
    folder, result = done
    stamp(result)

    code, out, _ = run(folder, write_patient("380"), "--jobs", "2")

    assert code == 0
    assert "1 done before." in out
    assert was_kept(result)


def test_json_of_an_earlier_result_is_printed(run, done):
    folder, result = done
    stamp(result)

    _, out, _ = run(folder, "--json")

    assert json.loads(out) == json.loads(result.read_bytes())


def test_warnings_of_an_earlier_result_count_with_strict(run, write_patient):
    folder = write_patient()
    coarse = {"training_spacing_mm": (1.0, 1.0, 1.0)}

    assert run(folder, "--strict", **coarse)[0] == 3
    assert run(folder, "--strict", **coarse)[:2] == (3, "379: done before\n")


def other_scan(folder, _result, make_head, make_nifti):
    (folder / "CTA2regA.nii.gz").write_bytes(make_nifti(make_head(affected=(1,))))


def renamed_scan(folder, _result, _head, _nifti):
    (folder / "CTA2regA.nii.gz").rename(folder / "CTA2regA.nii")


def cut_result(_folder, result, _head, _nifti):
    result.write_bytes(result.read_bytes()[:-5])


def endless_number(_folder, result, _head, _nifti):
    result.write_text(result.read_text().replace('"threads": 1', '"threads": 1e999'))


def report_is_gone(_folder, result, _head, _nifti):
    result.with_name("report.html").unlink()


def report_is_a_folder(_folder, result, _head, _nifti):
    report_is_gone(_folder, result, _head, _nifti)
    result.with_name("report.html").mkdir()


def report_is_of_a_refusal(_folder, result, _head, _nifti):
    """One of the same second."""
    page = refusal_page("379", InputDamaged("cut"), created=STAMP)
    result.with_name("report.html").write_bytes(page)


def report_is_of_another_result(_folder, result, _head, _nifti):
    report = result.with_name("report.html")
    report.write_text(report.read_text("utf-8").replace(STAMP, "2001" + STAMP[4:]), "utf-8")


def folder_in_its_place(_folder, result, _head, _nifti):
    result.rename(result.with_name("elsewhere"))
    result.symlink_to("nowhere")


def change(**changes):
    def apply(_folder, result, _head, _nifti):
        values = json.loads(result.read_bytes())
        for key, value in changes.items():
            values[key] = {**values[key], **value} if isinstance(value, dict) else value
        result.write_text(json.dumps(values))

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        other_scan,
        renamed_scan,
        cut_result,
        folder_in_its_place,
        endless_number,
        report_is_gone,
        report_is_of_a_refusal,
        report_is_of_another_result,
        change(status="error"),
        change(schema="aminet.result/2"),
        change(min_consecutive_slices=3),
        change(model={"id": "0" * 64}),
        change(model={"engine": "OpenVINO 2020.1"}),
        change(regions=[]),
        change(input={"files": {}}),
    ],
)
def test_what_another_run_might_not_repeat_is_done_again(run, done, make_head, make_nifti, spoil):
    folder, result = done
    stamp(result)
    spoil(folder, result, make_head, make_nifti)

    code, out, _ = run(folder)

    assert code == 0
    assert "done before" not in out
    assert not was_kept(result)


def test_folder_in_the_place_of_the_report_is_no_report(run, done, make_head, make_nifti):
    folder, result = done
    stamp(result)
    report_is_a_folder(folder, result, make_head, make_nifti)

    code, out, err = run(folder)

    assert (code, out) == (30, "")
    assert "is in the way" in err


@pytest.mark.parametrize(
    "recipe",
    [
        {"thresholds": (0.4,) * 15},
        {"thresholds": (None, *[0.5] * 14)},
        {"names": tuple(f"other {region}" for region in range(15))},
        {"min_consecutive_slices": 1},
    ],
)
def test_another_decision_rule_is_run_again(run, done, recipe):
    folder, result = done
    stamp(result)

    assert "done before" not in run(folder, **recipe)[1]
    assert not was_kept(result)


def test_scores_of_the_slices_are_a_reason_to_run_again(run, done):
    folder, result = done
    stamp(result)

    assert "done before" not in run(folder, "--slices")[1]
    assert run(folder, "--slices")[1] == "379: done before\n"


def test_scan_that_is_gone_is_an_error_and_not_done_before(run, done):
    folder, result = done
    (folder / "CTA2regA.nii.gz").unlink()
    (folder / "CTA1.nii.gz").write_bytes(b"")

    assert run(folder)[0] == 10
    assert result.exists()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs alarm signals")
def test_time_limit_within_the_look_at_an_earlier_result_is_reported(run, done, monkeypatch):
    folder, result = done
    monkeypatch.setattr("aminet_runtime.earlier.hash_regular_file", lambda _: time.sleep(30))

    assert run(folder, "--time-limit", "5")[0] == 40
    assert "time limit of 5 s" in result.with_name("report.html").read_text(encoding="utf-8")


def test_time_limit_is_one_for_the_look_and_the_run(run, done, monkeypatch):
    folder, _ = done

    def slow(*_arguments, **_options):
        time.sleep(3)

    monkeypatch.setattr("aminet_runtime.earlier.hash_regular_file", slow)
    monkeypatch.setattr("aminet_runtime.session.Session.run", slow)

    assert run(folder, "--time-limit", "5")[0] == 40


def test_skip_done_needs_a_place_to_look(write_patient, capsys):
    assert main([str(write_patient()), "--skip-done"]) == 2
    assert "error[E0204]: --skip-done looks for results in --output" in capsys.readouterr().err
