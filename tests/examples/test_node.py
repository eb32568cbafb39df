# SPDX-License-Identifier: Apache-2.0
"""The Node example gives the decisions of ONNX Runtime in Python, and refuses a changed bundle.

The shipped bundle has no model.onnx, so a bundle of the tests is run, which conformance kits do not
suit: it cannot tell front from back.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aminet_benchmarks.conformance.head import ORIENTATIONS, make_head, write_head
from aminet_runtime import Session
from aminet_runtime.engines.choice import EngineName

FOLDER = Path(__file__).parents[2] / "examples" / "node"
TOLERANCE = 1e-5  # two releases of ONNX Runtime may add up in another order

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules").exists(),
        reason="first run: npm ci --ignore-scripts, in examples/node",
    ),
]


def run_host(*words):
    command = ["node", str(FOLDER / "aminet_host.mjs"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def patient(tmp_path) -> Path:
    (tmp_path / "379").mkdir()
    return tmp_path / "379"


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_it_decides_as_python_does(build_bundle, patient, orientation):
    bundle = build_bundle(with_onnx=True, thresholds=(None, *[0.2] * 14))
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


def test_a_changed_network_is_not_run(build_bundle, patient, tmp_path):
    bundle = shutil.copytree(build_bundle(with_onnx=True), tmp_path / "bundle")
    (bundle / "model.onnx").write_bytes(b"changed")
    done = run_host(bundle, patient)
    assert (done.returncode, done.stdout) == (1, "")
    assert "model.onnx was changed" in done.stderr


def test_a_cut_file_gives_no_answer(build_bundle, patient):
    path = patient / "CTA2regA.nii.gz"
    write_head(path, make_head(0), orientation="LPS")
    path.write_bytes(path.read_bytes()[:-1000])
    done = run_host(build_bundle(with_onnx=True), patient)
    assert (done.returncode, done.stdout) == (1, "")
