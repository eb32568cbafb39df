# SPDX-License-Identifier: Apache-2.0
import contextlib
import gzip
import json
import os
import struct
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.compare import (
    Answers,
    Comparison,
    Request,
    compare_ways,
    comparison_table,
    summary_table,
    tell_apart,
)
from aminet_benchmarks.floor import Floor
from aminet_benchmarks.machine import distinct_isas, isa_environment
from aminet_benchmarks.measure import Run, Runs
from aminet_benchmarks.ways import Task, Way, require_plain
from aminet_runtime.errors import GateFailed, InputUnsupported, UsageError
from aminet_runtime.patient import Channel

CORES = tuple(sorted(os.sched_getaffinity(0))[:1])
TWO_PHASES = (Channel.CTA1, Channel.CTA2)


def measured(way: Way, *walls_s: float) -> Runs:
    runs = (Run(s, 100 * s, "", cpu_s=s, kernel_rss_mib=100 * s) for s in walls_s)
    return Runs(way.value, tuple(runs))


@pytest.fixture
def comparison() -> Comparison:
    return Comparison(
        bundle="a-bundle",
        isa="native",
        runs={
            Way.OURS: measured(Way.OURS, 1.0, 2.0, 9.0),
            Way.SCRIPT: measured(Way.SCRIPT, 3.0, 3.0, 3.0),
            Way.REPORT: measured(Way.REPORT, 8.0),
        },
        answers={Way.OURS: Answers(0, 0.0), Way.SCRIPT: Answers(1, 0.25), Way.REPORT: None},
        absent={Way.ONNX_INT8: "the bundle holds no such network"},
        floor=Floor(gunzip_s=0.5, latency_ms=5.0, slices=100),
        machine={"cpu": "a CPU"},
    )


@pytest.mark.parametrize("channels", [(Channel.CTA2,), TWO_PHASES])
def test_ways_give_the_same_answers(write_patient, build_bundle, channels):
    bundle = build_bundle(channels=channels, with_onnx=True)
    ways = (Way.OURS, Way.SCRIPT, Way.OPENVINO_FLOAT, Way.ONNX_FLOAT, Way.ONNX_INT8)
    request = Request(ways=ways, rounds=1, cores=CORES)

    comparison = compare_ways(write_patient(channels=channels), bundle, request)

    assert list(comparison.runs) == list(ways[:-1])
    assert list(comparison.absent) == [Way.ONNX_INT8]
    assert all(one.wall_s > 0 and one.peak_rss_mib > 10 for one in comparison.runs.values())
    # the script and our command run the same network on the same voxels
    assert comparison.answers[Way.SCRIPT] == Answers(0, 0.0)
    assert comparison.answers[Way.ONNX_FLOAT].decisions_changed == 0
    assert 0 < comparison.floor.wall_s < comparison.runs[Way.OURS].wall_s
    assert {"cpu", "instruction_sets", "versions", "git_commit"} <= set(comparison.machine)


def test_torch_runs_an_untrained_network_whose_answers_are_not_compared(
    write_patient, build_bundle
):
    request = Request(ways=(Way.OURS, Way.REPORT), rounds=1, cores=CORES)

    comparison = compare_ways(write_patient(), build_bundle(with_onnx=True), request)

    assert comparison.answers[Way.REPORT] is None
    assert "untrained, not compared" in comparison_table(comparison)


def test_refuses_a_bundle_that_the_alternatives_cannot_run(write_patient, build_bundle):
    with pytest.raises(InputUnsupported, match="looks at 3 slices"):
        require_plain(Task.of(write_patient(), build_bundle(window=3)))


def test_refuses_a_patient_that_the_alternatives_cannot_read(write_patient, bundle_path):
    patient = write_patient(upside_down=[Channel.CTA2])
    with pytest.raises(InputUnsupported, match="stored as <i2 LPI"):
        require_plain(Task.of(patient, bundle_path))


def test_reads_a_patient_that_the_alternatives_can_read(write_patient, bundle_path):
    require_plain(Task.of(write_patient(), bundle_path))


def pushed_back(stored: bytes) -> bytes:
    return stored[:108] + struct.pack("<f", 368.0) + stored[112:352] + bytes(16) + stored[352:]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stored: stored[:112] + struct.pack("<2f", 1, -9) + stored[120:], "intercept -9"),
        (lambda stored: stored[:112] + struct.pack("<2f", 2, 0) + stored[120:], "slope 2"),
        (pushed_back, "from byte 368"),
    ],
    ids=["intercept", "slope", "offset"],
)
def test_refuses_voxels_that_the_alternatives_would_misread(
    write_patient, bundle_path, change, said
):
    patient = write_patient()
    (path,) = patient.iterdir()
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    with pytest.raises(InputUnsupported, match=said):
        require_plain(Task.of(patient, bundle_path))


def test_refuses_a_patient_without_gzip(write_patient, bundle_path):
    patient = write_patient()
    (path,) = patient.iterdir()
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    with pytest.raises(InputUnsupported, match="no gzip; the alternatives read"):
        require_plain(Task.of(patient, bundle_path))


@pytest.mark.parametrize("verb", ["compare", "gate", "selftest"])
def test_what_stands_beside_one_thread_gets_one_core(verb, capsys):
    assert main([verb, "--cores", "0", "1"]) == 2
    assert "--cores names 2 processors" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "compare", "gate", "selftest", "scaling"])
def test_an_ensemble_is_refused_before_anything_is_measured(verb, write_patient, tmp_path, capsys):
    ensemble = tmp_path / "vote"
    (ensemble / "members" / "a").mkdir(parents=True)
    assert main([verb, "--patient", str(write_patient()), "--bundle", str(ensemble)]) == 20
    said = capsys.readouterr().err
    assert "vote: this is an ensemble" in said
    assert "name one of its members" in said


def test_table_relates_the_medians_of_every_way_to_ours(comparison):
    ours, script, report, absent, floor = comparison_table(comparison).splitlines()[2:]
    assert ours == "| aminet-run | 2.00 | 1.00 x | 200 | 1.00 x |  |"
    assert script.endswith("| 3.00 | 1.50 x | 300 | 1.50 x | 1 of 15 (0.25) |")
    assert report.endswith("| untrained, not compared |")
    assert "holds no such network" in absent
    assert "| 1.00 | 0.50 x |" in floor


def test_summary_has_a_row_for_each_bundle_and_instruction_set(comparison):
    alone = replace(comparison, bundle="b", isa="avx2", runs={Way.OURS: measured(Way.OURS, 1.0)})
    alone = replace(alone, answers={Way.OURS: Answers(0, 0.0)})
    first, second = summary_table([comparison, alone]).splitlines()[2:]
    assert first == (
        "| a-bundle | native | 2.00 | 200 | 3.00 | 8.00 | 4.0 x faster | 1.00 | 2.00 x | 1 of 15 |"
    )
    assert second == "| b | avx2 | 1.00 | 100 |  |  |  | 1.00 | 1.00 x | not compared |"


def test_bundles_of_one_name_are_told_apart(comparison, bundle_path, tmp_path, monkeypatch):
    played = replace(comparison, isa="avx2")
    names = [one.bundle for one in tell_apart([comparison, played, comparison, played])]
    assert names == ["a-bundle", "a-bundle", "a-bundle~2", "a-bundle~2"]

    monkeypatch.setattr("aminet_benchmarks.compare.compare_ways", lambda *_a, **_o: comparison)
    arguments = ["--patient", str(tmp_path), "--bundle", *[str(bundle_path)] * 2]
    assert main(["compare", *arguments, "-o", str(tmp_path / "results")]) == 0
    plots = {path.name for path in (tmp_path / "results").glob("*.png")}
    assert plots == {"comparison-a-bundle-native.png", "comparison-a-bundle~2-native.png"}


def test_an_instruction_set_that_is_native_is_not_run_twice(monkeypatch):
    monkeypatch.setattr("aminet_benchmarks.machine.available_isas", lambda: ("AVX2",))
    assert distinct_isas(["native", "avx2"]) == ("native",)
    assert distinct_isas(["avx2"]) == ("avx2",)
    sets = ("AVX2", "AVX512_CORE", "AVX512_CORE_VNNI")
    monkeypatch.setattr("aminet_benchmarks.machine.available_isas", lambda: sets)
    assert distinct_isas(["native", "avx2"]) == ("native", "avx2")


def test_instruction_sets_are_named_in_any_case_and_run_once(monkeypatch):
    monkeypatch.setattr("aminet_benchmarks.machine.available_isas", lambda: ("AVX2",))
    assert distinct_isas(["Native", "AVX2"]) == ("native",)
    assert distinct_isas(["AVX2", "avx2"]) == ("avx2",)


def test_json_holds_every_single_run(comparison):
    values = json.loads(json.dumps(comparison.to_json()))
    assert values["ways"]["ours"]["runs"] == [[1.0, 100.0], [2.0, 200.0], [9.0, 900.0]]
    assert values["ways"]["script"]["answers"]["decisions_changed"] == 1
    assert values["machine"] == {"cpu": "a CPU"}


def test_an_instruction_set_that_the_machine_lacks_is_refused():
    assert isa_environment("native") == {}
    with pytest.raises(UsageError, match="cannot play the instruction set sse9"):
        isa_environment("sse9")


def test_command_names_a_missing_patient_in_one_line(tmp_path, bundle_path, capsys):
    arguments = ["compare", "--patient", str(tmp_path / "absent"), "--bundle", str(bundle_path)]
    assert main(arguments) == 10
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("aminet-benchmark compare: error[E10")
    assert printed.err.count("\n") == 1


def test_command_writes_page_json_and_plot(write_patient, bundle_path, tmp_path, capsys):
    arguments = ["--patient", str(write_patient()), "--bundle", str(bundle_path), "--rounds", "1"]
    output = tmp_path / "results"
    assert main(["compare", *arguments, "--ways", "script", "-o", str(output)]) == 0
    assert "| 30-line OpenVINO script |" in capsys.readouterr().out
    assert "Made by `aminet-benchmark compare" in (output / "comparison.md").read_text()
    assert json.loads((output / "comparison.json").read_text())[0]["bundle"] == "bands-fp32"
    assert (output / "comparison-bands-fp32-native.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("isa", "ways"),
    [
        ("native", tuple(Way)),
        ("NATIVE", tuple(Way)),
        ("avx2", (Way.OURS, Way.SCRIPT, Way.REPORT)),
    ],
)
def test_an_older_machine_is_judged_by_the_script_and_the_report_alone(
    write_patient, bundle_path, monkeypatch, isa, ways
):
    requests = []

    def pretend(_patient, _bundle, request, **_progress):
        requests.append(request)
        raise GateFailed("enough")

    monkeypatch.setattr("aminet_benchmarks.compare.compare_ways", pretend)
    monkeypatch.setattr("aminet_benchmarks.machine.played_isas", tuple)  # whatever this one has
    arguments = ["--patient", str(write_patient()), "--bundle", str(bundle_path), "--isa", isa]
    assert main(["compare", *arguments]) == 23
    assert [request.ways for request in requests] == [ways]


COMMAND = "import sys; from aminet_benchmarks.cli import main; sys.exit(main())"


def test_a_command_that_is_terminated_leaves_no_process_and_no_folder(
    write_patient, bundle_path, tmp_path
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    place = ["--patient", str(write_patient()), "--bundle", str(bundle_path), "--rounds", "999"]
    words = ["compare", *place, "--ways", "ours", "script"]
    measuring = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words], env={**os.environ, "TMPDIR": str(scratch)}
    )
    try:
        child = wait_for_child(measuring.pid, "aminet-run")
        assert list(scratch.glob("aminet-*")) != []
        measuring.terminate()
        assert measuring.wait(60) == 143
    finally:
        measuring.kill()
        measuring.wait()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()
    assert list(scratch.glob("aminet-*")) == []


def wait_for_child(pid: int, name: str) -> psutil.Process:
    for _ in range(1200):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(name in word for word in child.cmdline()):
                    return child
        time.sleep(0.05)
    raise TimeoutError(name)
