# SPDX-License-Identifier: Apache-2.0
"""The doctor sees what is wrong, says it in one line, and its exit code is that of the error."""

import io
import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import aminet_runtime
from aminet_runtime import cpu, doctor
from aminet_runtime.budget import MIB
from aminet_runtime.bundle import write_checksums
from aminet_runtime.diagnosis import Check, CheckStatus, Diagnosis
from aminet_runtime.doctor import diagnose
from aminet_runtime.engines.saturation import EXACT_SUM
from aminet_runtime.errors import ModelIncompatible

SCHEMA_FILE = Path(aminet_runtime.__file__).parent / "schemas" / "doctor-1.schema.json"
SCHEMA = Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
ALL_CHECKS = [
    "versions",
    "cpu",
    "arithmetic",
    "threads",
    "disk",
    "bundle",
    "memory",
    "self-test",
    "speed",
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small slices, and the canary of a good CPU: it has its own test in a fresh process."""
    monkeypatch.setattr(doctor, "USUAL_SIZE_PX", 60)
    monkeypatch.setattr(doctor, "int8_sum", lambda: EXACT_SUM)


def failed(diagnosis):
    return [check.name for check in diagnosis.checks if check.status is CheckStatus.FAILED]


def test_fit_machine_passes_all_checks(bundle_path):
    diagnosis = diagnose(bundle_path)

    assert [check.name for check in diagnosis.checks] == ALL_CHECKS
    assert failed(diagnosis) == []
    assert diagnosis.exit_code == 0
    assert diagnosis.verdict.startswith("fit: about ")
    assert 0.0 < diagnosis.seconds_per_patient < 60.0
    SCHEMA.validate(diagnosis.to_json())


def test_text_ends_with_the_verdict(bundle_path):
    lines = diagnose(bundle_path).to_text().splitlines()

    assert len(lines) == len(ALL_CHECKS) + 2
    assert lines[-1].startswith("fit: ")


def test_window_of_the_bundle_is_tested_with_its_planes(build_bundle):
    assert diagnose(build_bundle(window=3)).exit_code == 0


def test_missing_bundle_ends_the_examination(tmp_path):
    diagnosis = diagnose(tmp_path / "nowhere")

    assert failed(diagnosis) == ["bundle"]
    assert diagnosis.exit_code == 20
    assert diagnosis.verdict.startswith("not fit: bundle: [E20")
    assert diagnosis.seconds_per_patient is None
    SCHEMA.validate(diagnosis.to_json())


def test_changed_bundle_is_untrusted(bundle_path, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle_path, folder)
    (folder / "model.bin").write_bytes(b"changed")

    assert diagnose(folder).exit_code == 21


def with_selftest(bundle_path, folder, *, shift):
    """Copy a bundle and move the answers that its self-test expects."""
    shutil.copytree(bundle_path, folder)
    with np.load(folder / "selftest.npz") as arrays:
        slices, answers = arrays["slices_hu"], arrays["probabilities"]
    buffer = io.BytesIO()
    moved = np.where(answers > 0.5, answers - shift, answers + shift).astype(np.float32)
    np.savez_compressed(buffer, slices_hu=slices, probabilities=moved)
    (folder / "selftest.npz").write_bytes(buffer.getvalue())
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)
    return folder


@pytest.mark.parametrize(("shift", "exit_code"), [(0.019, 0), (0.021, 22)])
def test_selftest_allows_no_more_than_its_tolerance(bundle_path, tmp_path, shift, exit_code):
    folder = with_selftest(bundle_path, tmp_path / "bundle", shift=shift)

    diagnosis = diagnose(folder)

    assert diagnosis.exit_code == exit_code
    assert failed(diagnosis) == (["self-test"] if exit_code else [])


def test_saturating_cpu_is_noted_and_still_fit(bundle_path, monkeypatch):
    monkeypatch.setattr(doctor, "int8_sum", lambda: 1048544)

    diagnosis = diagnose(bundle_path)

    check = next(check for check in diagnosis.checks if check.name == "arithmetic")
    assert check.status is CheckStatus.NOTE
    assert "saturate (1048544 of 2072640)" in check.detail
    assert diagnosis.exit_code == 0


def without_int8():
    raise ModelIncompatible("OpenVINO cannot run INT8 networks", hint="use a float bundle")


@pytest.fixture
def old_cpu(monkeypatch):
    """A CPU without AVX2."""
    monkeypatch.setattr(doctor, "has_required_instructions", lambda: False)
    monkeypatch.setattr(doctor, "int8_sum", without_int8)


def labelled_int8(bundle_path, folder):
    """Copy a bundle and let it say that it is INT8."""
    shutil.copytree(bundle_path, folder)
    values = json.loads((folder / "metadata.json").read_bytes())
    (folder / "metadata.json").write_text(json.dumps({**values, "precision": "int8"}))
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)
    return folder


@pytest.mark.usefixtures("old_cpu")
def test_cpu_without_avx2_is_not_fit_for_int8(bundle_path, tmp_path):
    diagnosis = diagnose(labelled_int8(bundle_path, tmp_path / "bundle"))

    assert failed(diagnosis) == ["cpu", "arithmetic"]
    assert diagnosis.exit_code == 22
    assert "AVX2" in diagnosis.verdict


@pytest.mark.usefixtures("old_cpu")
def test_cpu_without_avx2_is_fit_for_a_float_bundle(bundle_path):
    diagnosis = diagnose(bundle_path)

    notes = [check for check in diagnosis.checks if check.status is CheckStatus.NOTE]
    assert [check.name for check in notes] == ["cpu", "arithmetic"]
    assert all(check.detail.endswith("a float bundle, which this one is") for check in notes)
    assert diagnosis.exit_code == 0


@pytest.mark.parametrize(
    ("machine", "features", "fit"),
    [
        ("x86_64", {"AVX2": True}, True),
        ("AMD64", {"AVX2": False}, False),
        ("x86_64", {}, False),
        ("aarch64", {}, True),
    ],
)
def test_only_x86_needs_avx2(monkeypatch, machine, features, fit):
    monkeypatch.setattr(cpu.platform, "machine", lambda: machine)
    monkeypatch.setattr(cpu, "__cpu_features__", features)

    assert cpu.has_required_instructions() is fit


def test_cpu_has_a_name_everywhere(monkeypatch):
    assert cpu.cpu_name()

    monkeypatch.setattr(cpu, "_CPUINFO", Path("/nowhere"))
    assert cpu.cpu_name()


def test_too_little_memory_is_not_fit(bundle_path, monkeypatch):
    monkeypatch.setattr(doctor, "available_memory_bytes", lambda: MIB)

    diagnosis = diagnose(bundle_path)

    assert failed(diagnosis) == ["memory"]
    assert diagnosis.exit_code == 40


def test_unknown_memory_is_no_failure(bundle_path, monkeypatch):
    monkeypatch.setattr(doctor, "available_memory_bytes", lambda: None)

    assert diagnose(bundle_path).exit_code == 0


def test_full_disk_is_not_fit(bundle_path, monkeypatch):
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil returns it
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(10, 10, 0))

    diagnosis = diagnose(bundle_path)

    assert failed(diagnosis) == ["disk"]
    assert diagnosis.exit_code == 30


def test_exit_code_is_the_highest_of_all_failures():
    checks = [Check("a", CheckStatus.FAILED, "x", code) for code in (22, 40, 20)]

    assert Diagnosis(tuple(checks), None).exit_code == 40
    assert Diagnosis(tuple(checks), None).verdict == "not fit: a: x"
