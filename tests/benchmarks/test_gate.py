# SPDX-License-Identifier: Apache-2.0
"""The gate lets a good build through, and stops three bad ones, each for its own reason.

The bad builds are real processes (`gate/faults.py`). The slow one sleeps for half a second a slice
here, which shows on any machine; whether 30 % of a slice are enough, `make benchmark-selftest`
tells on an idle one. That the verdict is right for 30 % is tested on given times.
"""

import os
import sys

import numpy as np
import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.gate.checks import (
    Check,
    Reason,
    Verdict,
    gate_table,
    judge,
    require_passed,
)
from aminet_benchmarks.gate.faults import Fault, bad_build, change_weight
from aminet_benchmarks.gate.held_out import drops_of_export, measure_drops
from aminet_benchmarks.gate.limits import DEFAULT_LIMITS, SMOKE_LIMITS, Limits, Time, read_limits
from aminet_benchmarks.gate.measurements import Round, is_sure, ratios
from aminet_benchmarks.gate.sampling import Estimate, exact, median_ratio
from aminet_benchmarks.gate.stretched import stretch
from aminet_benchmarks.gate.trial import Trial, require_told_apart, trial_table
from aminet_benchmarks.measure import Run, run_once
from aminet_benchmarks.ways import Task
from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.errors import GateFailed, InputMissing, UsageError
from aminet_runtime.selftest import largest_difference, read_selftest
from aminet_runtime.session import Session
from aminet_runtime.volume import Volume

CORES = tuple(sorted(os.sched_getaffinity(0))[:1])

ONCE = "[sampling]\nrounds = 1\nmost_rounds = 1\n"
MEMORY_LIMITS = "[memory]\ngrowth = 0.3\n" + ONCE
ANSWER_LIMITS = "[answers]\nselftest_difference = 0.02\n"
TIME_LIMITS = "[time]\nwall_to_script = 3.0\n" + ONCE
ALL_LIMITS = "[time]\nwall_to_script = 3.0\n" + MEMORY_LIMITS + ANSWER_LIMITS
SLICES = 200


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
    code, out, err = gate(ALL_LIMITS)
    assert (code, err) == (0, "")
    assert out.count("| passed |") == 3


def test_a_build_that_sleeps_fails_for_its_time(gate, bundle_path):
    with bad_build(Fault.SLOW, bundle_path, least_sleep_s=0.5):
        code, _out, err = gate(TIME_LIMITS)
    assert code == 23
    assert "time: wall_to_script: FAILED" in err


def test_a_build_that_keeps_all_slices_fails_for_its_memory(gate, bundle_path):
    with bad_build(Fault.HOARDING, bundle_path):
        code, out, err = gate(MEMORY_LIMITS + ANSWER_LIMITS)
    assert code == 23
    assert "memory: growth: FAILED" in err
    assert "answers" not in err
    row = next(line for line in out.splitlines() if line.startswith("| memory | growth"))
    # each slice is kept once, as float32
    assert float(row.split("|")[3]) == pytest.approx(1.0, abs=0.2)


def test_a_build_with_a_changed_weight_fails_for_its_answers(gate, bundle_path):
    with bad_build(Fault.WEIGHT, bundle_path) as bad:
        Bundle.open(bad.bundle)  # nothing but the answers gives it away
        code, _out, err = gate(MEMORY_LIMITS + ANSWER_LIMITS, bad.bundle)
    assert code == 23
    assert "answers: selftest_difference: FAILED" in err
    assert "memory" not in err


def test_one_weight_of_the_shipped_bundle_breaks_its_known_answers(tmp_path):
    changed = change_weight(default_bundle_path(), tmp_path / "changed")
    with Session.open(changed, threads=1) as session:
        difference = largest_difference(
            read_selftest(session.bundle), lambda planes: session.answer(planes).probabilities
        )
    assert difference > 0.02


def test_a_fault_is_gone_after_its_context_and_spares_other_commands(bundle_path):
    before = os.environ.get("PYTHONPATH")
    with bad_build(Fault.SLOW, bundle_path):
        program = "import sys; print('aminet_runtime' in sys.modules)"
        run = run_once([sys.executable, "-c", program], cores=CORES)
    assert run.output.strip() == "False"
    assert os.environ.get("PYTHONPATH") == before


def given_times(ours_s, script_s, *, slice_s=0.0, noise=()):
    """Make rounds of given times: the whole patient, of which 0.4 s are start and compiling."""
    rounds = []
    for factor in noise or (0.99, 1.0, 1.01, 1.0, 0.98):
        ours = timed(factor * ours_s + SLICES * slice_s)
        rounds.append(Round(ours, timed(script_s), timed(0.4), timed(0.4)))
    return rounds


def timed(wall_s):
    return Run(wall_s + 5.0, 100.0, "", cpu_s=wall_s, kernel_rss_mib=100.0, queued_s=5.0)


def verdicts(rounds):
    limits = Limits(time=Time(wall_to_script=1.15, slice_to_script=1.15))
    return {check.name: check.verdict for check in judge(ratios(rounds), limits)}


def test_thirty_percent_of_a_slice_fail_and_the_queue_does_not_count():
    # 1.6 s of the script are slices, all of it but a tenth the network
    slower = given_times(2.0, 2.0, slice_s=0.3 * 0.9 * 1.6 / SLICES)
    assert set(verdicts(slower).values()) == {Verdict.FAILED}
    assert set(verdicts(given_times(2.0, 2.0)).values()) == {Verdict.PASSED}


def test_noise_that_hides_the_answer_is_said_and_measured_further():
    noisy = given_times(2.2, 2.0, noise=(0.8, 1.3, 0.9, 1.2, 1.05))
    limits = Limits(time=Time(wall_to_script=1.15))
    assert verdicts(noisy)["wall_to_script"] is Verdict.UNDECIDED
    assert not is_sure(ratios(noisy), limits)
    assert is_sure(ratios(given_times(2.0, 2.0)), limits)


def test_a_trial_is_right_if_its_own_reason_alone_stopped_it():
    slow = Check("slow", 1.0, Reason.TIME, exact(2.0))
    wrong = Check("wrong", 1.0, Reason.ANSWERS, exact(2.0))
    fine = Check("fine", 1.0, Reason.TIME, exact(0.5))
    trials = [
        Trial("as it is", None, (fine,)),
        Trial("slow", Reason.TIME, (slow, fine)),
        Trial("let through", Reason.TIME, (fine,)),
        Trial("mixed up", Reason.TIME, (slow, wrong)),
    ]
    assert [trial.is_right for trial in trials] == [True, True, False, False]
    assert "| slow | time | slow 2, 2 to 2 (FAILED) | yes |" in trial_table(trials)
    require_told_apart(trials[:2])
    with pytest.raises(GateFailed, match="wrongly: let through, mixed up"):
        require_told_apart(trials)


def write(folder, limits):
    path = folder / "some-limits.toml"
    path.write_text(limits)
    return path


def test_a_hoarding_build_may_be_slow_too_but_not_only():
    slow = Check("slow", 1.0, Reason.TIME, exact(2.0))
    large = Check("large", 1.0, Reason.MEMORY, exact(2.0))
    wrong = Check("wrong", 1.0, Reason.ANSWERS, exact(2.0))
    builds = [(large,), (large, slow), (slow,), (large, wrong)]
    trials = [Trial("hoards", Reason.MEMORY, checks) for checks in builds]
    assert [trial.is_right for trial in trials] == [True, True, False, False]


def test_every_reason_is_named_with_its_excess():
    checks = [
        Check("fine", 1.0, Reason.TIME, Estimate(0.5, 0.4, 0.6)),
        Check("slow", 1.0, Reason.TIME, Estimate(1.5, 1.4, 1.6)),
        Check("noisy", 1.0, Reason.MEMORY, Estimate(1.01, 0.8, 1.2)),
        Check("absent", 1.0, Reason.ANSWERS, None),
    ]
    assert [check.verdict for check in checks] == [
        Verdict.PASSED,
        Verdict.FAILED,
        Verdict.UNDECIDED,
        Verdict.MISSING,
    ]
    assert "| time | slow | 1.5 | 1.4 to 1.6 | 1 | FAILED | 0.5 over (50%) |" in gate_table(checks)
    with pytest.raises(GateFailed) as failure:
        require_passed(checks)
    assert failure.value.exit_code == 23
    assert failure.value.code == "E2310"
    assert "time: slow: FAILED 0.5 over (50%); memory: noisy: NOT" in str(failure.value)
    assert "fine" not in str(failure.value)


def test_noise_alone_has_a_code_of_its_own():
    noisy = Check("noisy", 1.0, Reason.TIME, Estimate(1.01, 0.8, 1.2))
    with pytest.raises(GateFailed, match="noisy: NOT NARROW ENOUGH") as failure:
        require_passed([noisy])
    assert (failure.value.exit_code, failure.value.code) == (23, "E2311")
    assert "idle machine" in failure.value.hint


def test_not_a_number_never_passes():
    assert Check("broken", 1.0, Reason.TIME, exact(float("nan"))).verdict is not Verdict.PASSED


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
        ("[time]\nwall_to_skript = 1", "some-limits.toml: unknown .*wall_to_script"),
        ("[tme]\n", "the nearest known one is 'time'"),
        ("[time]\nwall_to_script = 'fast'", "wall_to_script must be a number, not 'fast'"),
        ("[time]\nwall_to_script = -1", "time: wall_to_script = -1 is no limit"),
        ("[time]\nwall_to_script = nan", "wall_to_script = nan is no limit"),
        ("[sampling]\nrounds = 2.5", "sampling.rounds must be a whole number, not 2.5"),
        ("[sampling]\nrounds = 20", "rounds = 20, but most_rounds = 15"),
        ("[sampling]\ninterval = 0", "interval = 0 can never be reached"),
        ("time = 3", "time is a table, not 3"),
        ("[time", "not TOML"),
    ],
)
def test_a_wrong_limits_file_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        read_limits(write(tmp_path, text))


def test_an_absent_limits_file_is_said_by_its_option(tmp_path):
    with pytest.raises(InputMissing, match=r"absent\.toml: cannot be read; check --limits"):
        read_limits(tmp_path / "absent.toml")


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


def test_patients_without_a_limit_for_them_are_refused(tmp_path, capsys):
    limits = tmp_path / "limits.toml"
    limits.write_text(ANSWER_LIMITS)
    assert main(["gate", "--limits", str(limits), "--patients", str(tmp_path)]) == 2
    assert "these limits have no f1_drop" in capsys.readouterr().err
