# SPDX-License-Identifier: Apache-2.0
"""The Node example conforms, decides as ONNX Runtime in Python does, and refuses what it must."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aminet_benchmarks.conformance.check import check_answers
from aminet_benchmarks.conformance.head import ORIENTATIONS, make_head, write_head
from aminet_runtime import Session
from aminet_runtime.engines.choice import EngineName

FOLDER = Path(__file__).parents[2] / "examples" / "node"
TOLERANCE = 1e-5  # two releases of ONNX Runtime may add up in another order

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules").exists(),
        reason="first run: make examples",
    ),
]


def run_host(*words, folder=FOLDER):
    command = ["node", str(folder / "aminet_host.mjs"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def patient(tmp_path) -> Path:
    (tmp_path / "379").mkdir()
    return tmp_path / "379"


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("window", [{}, {"window": 3}, {"window": 5, "window_spacing_mm": 7.5}])
def test_it_decides_as_python_does(build_bundle, patient, orientation, window):
    bundle = build_bundle(with_onnx=True, thresholds=(None, *[0.2] * 14), **window)
    write_head(patient / "CTA2regA.nii.gz", make_head(0), orientation=orientation)
    answered = json.loads(run_host(bundle, patient).stdout)
    with Session.open(bundle, threads=1, engine=EngineName.ONNXRUNTIME) as session:
        result = session.run(patient)
    scores = np.array(answered["slices"]["probabilities"])
    np.testing.assert_allclose(scores, result.scores, atol=TOLERANCE, rtol=0)
    expected = result.to_json()["regions"]
    assert isinstance(expected, list)
    for key in ("index", "name", "affected", "threshold", "slices"):
        assert [one[key] for one in answered["regions"]] == [one[key] for one in expected]


def answers_of(folder, bundle, kit, out):
    done = run_host(bundle, "--kit", kit, folder=folder)
    assert done.returncode == 0, done.stderr
    out.write_text(done.stdout)
    return out


def test_the_port_conforms(lopsided_bundle, onnx_kit, tmp_path):
    answers = answers_of(FOLDER, lopsided_bundle, onnx_kit, tmp_path / "answers.json")
    assert check_answers(onnx_kit, answers) == []


def test_a_fault_shows_where_it_belongs(fault, spoil_example, lopsided_bundle, onnx_kit, tmp_path):
    folder = spoil_example("node", fault)
    wrong = check_answers(
        onnx_kit, answers_of(folder, lopsided_bundle, onnx_kit, tmp_path / "answers.json")
    )
    assert any(sentence.startswith(fault.shows) for sentence in wrong)


def test_a_changed_network_is_not_run(build_bundle, patient, tmp_path):
    bundle = shutil.copytree(build_bundle(with_onnx=True), tmp_path / "bundle")
    (bundle / "model.onnx").write_bytes(b"changed")
    done = run_host(bundle, patient)
    assert (done.returncode, done.stdout) == (21, "")
    assert done.stderr == (
        "aminet_host: error[E2100]: model.onnx: was changed; get the bundle again\n"
    )


def test_a_manifest_with_a_path_is_not_followed(build_bundle, patient, tmp_path):
    bundle = shutil.copytree(build_bundle(with_onnx=True), tmp_path / "bundle")
    with (bundle / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  ../model.onnx\n")
    done = run_host(bundle, patient)
    assert (done.returncode, done.stdout) == (21, "")
    assert "SHA256SUMS: is not what sha256sum writes" in done.stderr


def test_a_bundle_without_the_network_is_refused(build_bundle, patient):
    done = run_host(build_bundle(), patient)
    assert (done.returncode, done.stdout) == (22, "")


def test_a_missing_file_is_named(build_bundle, patient):
    done = run_host(build_bundle(with_onnx=True), patient)
    assert (done.returncode, done.stdout) == (10, "")
    assert "CTA2regA.nii.gz: there is no such file" in done.stderr


def test_a_cut_file_gives_no_answer(build_bundle, patient):
    path = patient / "CTA2regA.nii.gz"
    write_head(path, make_head(0), orientation="LPS")
    path.write_bytes(path.read_bytes()[:-1000])
    done = run_host(build_bundle(with_onnx=True), patient)
    assert (done.returncode, done.stdout) == (11, "")
    assert "error[E1100]: CTA2regA.nii.gz: " in done.stderr


def test_a_gzipped_file_may_have_another_name(build_bundle, patient):
    write_head(patient / "CTA2regA.nii.gz", make_head(0), orientation="LPS")
    (patient / "CTA2regA.nii.gz").rename(patient / "CTA2regA.nii")
    assert run_host(build_bundle(with_onnx=True), patient).returncode == 0
