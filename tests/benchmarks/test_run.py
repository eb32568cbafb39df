# SPDX-License-Identifier: Apache-2.0
import json
import os

import pytest

from aminet_benchmarks.cli import main
from aminet_runtime.errors import GateFailed

CORES = sorted(os.sched_getaffinity(0))[:1]
STAGES = ("start", "compile", "decode", "infer", "decide", "write")


def test_run_tells_where_the_time_goes_cold_and_warm(write_patient, bundle_path, tmp_path, capsys):
    place = ["--patient", str(write_patient()), "--bundle", str(bundle_path)]
    output = tmp_path / "results"
    cores = ["--cores", *map(str, CORES)]
    assert main(["run", *place, *cores, "--rounds", "1", "-o", str(output)]) == 0

    printed = capsys.readouterr().out
    assert "| ms | cold | warm |" in printed
    assert "Made by `aminet-benchmark run" in (output / "run.md").read_text()
    values = json.loads((output / "run.json").read_text())
    cold, warm = values["ms"]["cold"], values["ms"]["warm"]
    assert set(STAGES) < set(cold)
    assert all(value >= -1.0 for value in cold.values())  # stages are differences of clocks
    spent = sum(cold[stage] for stage in STAGES if stage != "write")
    assert spent == pytest.approx(cold["total"], abs=1.0)
    assert warm["compile"] < cold["compile"]
    assert 0 < cold["slice_p50"] <= cold["slice_p95"]
    assert values["machine"]["bound_to"] == CORES
    # two observers of one process: psutil looks rarely, the kernel's mark only rises
    process = values["process"]
    assert 0.5 * process["kernel_rss_mib"] < process["tree_rss_mib"]
    assert process["peak_rss_mib"] >= process["kernel_rss_mib"]


def test_the_load_is_that_of_others_before_the_first_run(
    write_patient, bundle_path, tmp_path, monkeypatch
):
    asked = []

    def run_interleaved(*_arguments, **_options):
        assert asked == ["load"]
        raise GateFailed("measured")

    monkeypatch.setattr(os, "getloadavg", lambda: asked.append("load") or (0.0, 0.0, 0.0))
    monkeypatch.setattr("aminet_benchmarks.measure.run_interleaved", run_interleaved)
    place = ["--patient", str(write_patient()), "--bundle", str(bundle_path)]
    assert main(["run", *place, "-o", str(tmp_path)]) == 23
    assert asked == ["load"]


def test_run_refuses_an_instruction_set_that_the_machine_lacks(write_patient, bundle_path, capsys):
    place = ["--patient", str(write_patient()), "--bundle", str(bundle_path)]
    assert main(["run", *place, "--isa", "sse9"]) == 2
    assert "cannot play the instruction set sse9" in capsys.readouterr().err


def test_run_refuses_no_rounds(write_patient, bundle_path, capsys):
    place = ["--patient", str(write_patient()), "--bundle", str(bundle_path)]
    assert main(["run", *place, "--rounds", "0"]) == 2
    assert "--rounds 0 is below 1" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "scaling", "compare", "gate"])
@pytest.mark.parametrize("core", ["9999", "-1"])
def test_processors_that_are_not_there_are_refused(verb, core, capsys):
    assert main([verb, "--cores", core]) == 2
    assert f"--cores {core} cannot be used here; choose among" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "--patient", "nobody", "--rounds", "0"], "--rounds 0 is below 1"),
        (
            ["untrained", "--size", "190", "-o", "nowhere"],
            "a frame of 224 pixels does not leave out",
        ),
    ],
)
def test_numbers_that_cannot_be_measured_are_refused(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "compare", "scaling", "gate", "selftest", "reference"])
@pytest.mark.parametrize("below", ["", "folder"])
def test_results_that_have_no_place_are_refused_before_the_work(verb, below, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    assert main([verb, "-o", str(file / below)]) == 30
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "is in the way" in said


@pytest.mark.parametrize("verb", ["run", "compare", "gate", "selftest", "scaling"])
def test_a_bundle_is_refused_before_a_phantom_is_made_for_it(verb, tmp_path, monkeypatch, capsys):
    def write_cohort(*_arguments, **_options):
        raise AssertionError("a phantom was made")

    monkeypatch.setattr("aminet_benchmarks.phantom.cohort.write_cohort", write_cohort)
    assert main([verb, "--bundle", str(tmp_path)]) == 20
    assert "error[E20" in capsys.readouterr().err
