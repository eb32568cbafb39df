# SPDX-License-Identifier: Apache-2.0
"""The gate lets a good build through, and stops two bad ones, each for its own reason.

The bad builds are real processes: a `sitecustomize` on PYTHONPATH changes the runtime before it
runs, and a copied bundle has one weight changed and all of its check sums made anew.
"""

import json
import os
import shutil

import numpy as np
import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.gate.checks import Check, Verdict, gate_table, judge, require_passed
from aminet_benchmarks.gate.held_out import drops_of_export, measure_drops
from aminet_benchmarks.gate.limits import DEFAULT_LIMITS, SMOKE_LIMITS, Limits, Time, read_limits
from aminet_benchmarks.gate.sampling import Estimate, exact, median_ratio
from aminet_benchmarks.gate.stretched import stretch
from aminet_benchmarks.ways import Task
from aminet_runtime.bundle import Bundle, default_bundle_path, model_id, write_checksums
from aminet_runtime.errors import GateFailed, UsageError
from aminet_runtime.volume import Volume

CORES = tuple(sorted(os.sched_getaffinity(0))[:1])

HOARDING = """
from aminet_runtime.engines.openvino import OpenVinoNetwork
infer, kept = OpenVinoNetwork.infer, []
def greedy(self):
    kept.append(self.input_hu.copy())
    return infer(self)
OpenVinoNetwork.infer = greedy
"""
MEMORY_LIMITS = "[memory]\ngrowth = 0.3\n[sampling]\nrounds = 1\nmost_rounds = 1\n"
ANSWER_LIMITS = "[answers]\nselftest_difference = 0.02\n" + MEMORY_LIMITS


@pytest.fixture
def sabotage(tmp_path, monkeypatch):
    """Return a way to change every Python process from now on."""

    def change(code):
        folder = tmp_path / "sabotage"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(code)
        others = os.environ.get("PYTHONPATH")
        paths = [str(folder), *([others] if others else [])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    return change


@pytest.fixture
def gate(tmp_path, write_patient, bundle_path, capsys):
    """Run the gate on a small patient; returns exit code, table and message."""
    patient = write_patient()

    def run(limits, bundle=bundle_path):
        file = tmp_path / "limits.toml"
        file.write_text(limits)
        place = ("--patient", str(patient), "--bundle", str(bundle), "--limits", str(file))
        code = main(["gate", *place])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_good_build_passes(gate):
    code, out, err = gate(ANSWER_LIMITS)
    assert (code, err) == (0, "")
    assert out.count("| passed |") == 2


def test_a_build_that_keeps_all_slices_fails_for_its_memory(gate, sabotage):
    sabotage(HOARDING)
    code, out, err = gate(ANSWER_LIMITS)
    assert code == 23
    assert "growth: FAILED" in err
    assert "selftest_difference" not in err
    row = next(line for line in out.splitlines() if line.startswith("| growth"))
    # each slice is kept once, as float32
    assert float(row.split("|")[2]) == pytest.approx(1.0, abs=0.2)


def test_a_build_with_a_changed_weight_fails_for_its_answers(gate, bundle_path, tmp_path):
    code, _out, err = gate(ANSWER_LIMITS, with_changed_weight(bundle_path, tmp_path / "changed"))
    assert code == 23
    assert "selftest_difference: FAILED" in err
    assert "growth" not in err


def with_changed_weight(source, target):
    """Copy a bundle, change a weight, and make id and check sums anew, as a forger would."""
    shutil.copytree(source, target)
    weights = bytearray((target / "model.bin").read_bytes())
    values = np.frombuffer(weights, np.float32, count=len(weights) // 4)
    place = int(np.flatnonzero(values == np.float32(400.0))[0])  # HU of full brightness
    weights[4 * place : 4 * place + 4] = np.float32(300.0).tobytes()
    (target / "model.bin").write_bytes(bytes(weights))
    metadata = json.loads((target / "metadata.json").read_text())
    xml = (target / "model.xml").read_bytes()
    metadata["id"] = model_id(xml, bytes(weights))
    (target / "metadata.json").write_text(json.dumps(metadata))
    write_checksums(target)
    Bundle.open(target)  # nothing but the answers gives it away
    return target


def write(folder, limits):
    path = folder / "some-limits.toml"
    path.write_text(limits)
    return path


def test_every_reason_is_named_with_its_excess():
    checks = [
        Check("fine", 1.0, Estimate(0.5, 0.4, 0.6)),
        Check("slow", 1.0, Estimate(1.5, 1.4, 1.6)),
        Check("noisy", 1.0, Estimate(1.01, 0.8, 1.2)),
        Check("absent", 1.0, None),
    ]
    assert [check.verdict for check in checks] == [
        Verdict.PASSED,
        Verdict.FAILED,
        Verdict.UNDECIDED,
        Verdict.MISSING,
    ]
    assert "| slow | 1.5 | 1.4 to 1.6 | 1 | FAILED | 0.5 over (50%) |" in gate_table(checks)
    with pytest.raises(GateFailed) as failure:
        require_passed(checks)
    assert failure.value.exit_code == 23
    assert "slow: FAILED 0.5 over (50%); noisy: UNDECIDED" in str(failure.value)
    assert "fine" not in str(failure.value)
    assert "idle machine" in failure.value.hint


def test_not_a_number_never_passes():
    assert Check("broken", 1.0, exact(float("nan"))).verdict is not Verdict.PASSED


def test_limits_that_are_left_out_are_not_checked():
    limits = Limits(time=Time(wall_to_script=1.5))
    assert [check.name for check in judge({}, limits)] == ["wall_to_script"]


def test_f1_is_checked_at_both_levels():
    names = [check.name for check in judge({}, read_limits(DEFAULT_LIMITS))]
    assert {"f1_drop, slices", "f1_drop, patients"} <= set(names)


@pytest.mark.parametrize("path", [DEFAULT_LIMITS, SMOKE_LIMITS])
def test_limits_that_ship_can_be_read_and_hold_those_of_the_mission(path):
    limits = read_limits(path)
    assert (limits.hard.wall_s, limits.hard.peak_rss_mib) == (300, 8192)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[time]\nwall_to_skript = 1", "wall_to_skript is no limit; did you mean wall_to_script"),
        ("[tme]\n", "did you mean time"),
        ("[time]\nwall_to_script = 'fast'", "'fast' is no limit"),
        ("time = 3", "3 is no section"),
        ("[time", "cannot be read"),
    ],
)
def test_a_wrong_limits_file_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read_limits(write(tmp_path, text))


def test_paired_ratios_are_not_moved_by_what_slows_both():
    estimate = median_ratio([1.1, 11.0, 2.2], [1.0, 10.0, 2.0])
    assert estimate.value == pytest.approx(1.1)
    assert estimate.relative_width == pytest.approx(0.0, abs=1e-9)


def test_a_stretched_patient_keeps_its_extent(write_patient, bundle_path, tmp_path):
    task = Task.of(write_patient(), bundle_path)
    folder = stretch(task, tmp_path / "other", slices=30, edge_px=45)
    with Volume.open(folder / task.volumes[0].name) as volume:
        assert volume.shape == (30, 45, 45)
        assert volume.stored_orientation == "LPS"
        extent = np.array(volume.spacing_mm) * volume.shape[::-1]
    assert extent == pytest.approx([240, 240, 60])


def test_f1_of_the_export_is_read_from_the_shipped_bundle():
    metrics = Bundle.open(default_bundle_path()).metadata.metrics
    drops = drops_of_export(Bundle.open(default_bundle_path()))
    assert set(drops) == {"slice", "patient"}
    before, after = metrics.float32.patient_level, metrics.int8.patient_level
    assert drops["patient"].value == before.f1 - after.f1


def test_f1_is_measured_anew_on_patients(write_patient, build_bundle, make_nifti, make_head):
    bundle = Bundle.open(build_bundle(with_onnx=True))
    patient = write_patient(affected=(4,))
    atlas = np.zeros(make_head().shape, np.uint8)
    atlas[:, :, 16:20] = 4
    clot = np.zeros(make_head().shape, np.uint8)
    clot[5, 30, 17] = 1
    (patient / "ATLASMASKregA.nii").write_bytes(make_nifti(atlas))
    (patient / "379_clot.nii").write_bytes(make_nifti(clot))
    # both networks compute the same
    assert measure_drops(bundle, [patient], cores=CORES) == {
        "slice": exact(0.0),
        "patient": exact(0.0),
    }
