# SPDX-License-Identifier: Apache-2.0
"""The C++ example builds from the wheel's files, conforms, and refuses what it must not run."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import openvino
import pytest

from aminet_benchmarks.conformance.check import check_answers
from aminet_benchmarks.conformance.head import ORIENTATIONS, make_head, write_head
from aminet_runtime import Session
from aminet_runtime.bundle import default_bundle_path, model_id, write_checksums
from aminet_runtime.engines.openvino_import import shared_core

SOURCE = Path(__file__).parents[2] / "examples" / "cpp"
CMAKE_FILES = Path(openvino.__file__).parent / "cmake"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler"),
]


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> str:
    build = tmp_path_factory.mktemp("cpp")
    configured = call("cmake", "-S", SOURCE, "-B", build, f"-DOpenVINO_DIR={CMAKE_FILES}")
    if "Could NOT find ZLIB" in configured.stderr:
        pytest.skip("there are no headers of zlib")
    assert configured.returncode == 0, configured.stderr
    built = call("cmake", "--build", build)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "warning" not in built.stdout + built.stderr
    return str(build / "aminet_host")


def call(*words):
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=240
    )


def test_the_port_conforms(host, kit, answer_kit):
    answers = answer_kit(kit, [host, str(default_bundle_path())])
    assert check_answers(kit, answers) == []


def test_it_answers_as_python_does_to_the_last_bit(host, kit):
    patient = kit / "patients" / "RAS"
    answered = json.loads(call(host, default_bundle_path(), patient).stdout)
    with Session.open(threads=1) as session:
        expected = session.run(patient).to_json()
    assert answered["regions"] == expected["regions"]
    for key in ("schema", "patient", "status", "min_consecutive_slices", "threads", "disclaimer"):
        assert answered[key] == expected[key]
    assert answered["model"]["id"] == expected["model"]["id"]
    assert answered["input"]["shape"] == expected["input"]["shape"]


@pytest.fixture(scope="module")
def late_bundle(build_bundle, tmp_path_factory) -> Path:
    """A bundle that sees each slice alone, with the keys in its network that the host reads."""
    whole = build_bundle(window=3, window_spacing_mm=7.5, late_fusion=True)
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("late") / "bundle")
    model = shared_core().read_model(folder / "model.xml")
    keys = {
        "approach": "simple_cnn",
        "disclaimer": "Tests.",
        "channels": "cta2",
        "min_consecutive_slices": "2",
        "window": "3",
        "window_spacing_mm": "7.5",
        "thresholds": json.dumps([0.2] * 15),
    }
    for key, value in keys.items():
        model.set_rt_info(value, ["aminet_info", key])
    model.set_rt_info(" ".join(f"r{number}" for number in range(15)), ["model_info", "labels"])
    openvino.save_model(model, folder / "model2.xml", compress_to_fp16=False)
    for kind in ("xml", "bin"):
        (folder / f"model2.{kind}").replace(folder / f"model.{kind}")
    metadata = json.loads((folder / "metadata.json").read_bytes())
    metadata["id"] = model_id(*((folder / f"model.{kind}").read_bytes() for kind in ("xml", "bin")))
    (folder / "metadata.json").write_text(json.dumps(metadata))
    write_checksums(folder)
    return folder


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_it_compares_neighbours_as_python_does(host, late_bundle, tmp_path, orientation):
    (tmp_path / "379").mkdir()
    path = tmp_path / "379" / "CTA2regA.nii.gz"
    write_head(path, make_head(0), orientation=orientation)
    done = call(host, late_bundle, tmp_path / "379")
    assert done.returncode == 0, done.stderr
    scores = np.array(json.loads(done.stdout)["slices"]["probabilities"], np.float32)
    with Session.open(late_bundle, threads=1) as session:
        expected = session.run(tmp_path / "379").scores
    np.testing.assert_array_equal(scores, expected)
    assert np.ptp(expected) > 0.05


def test_a_changed_network_is_not_run(host, kit, tmp_path):
    bundle = shutil.copytree(default_bundle_path(), tmp_path / "bundle")
    with (bundle / "model.bin").open("r+b") as file:
        file.write(b"\xff")
    done = call(host, bundle, kit / "patients" / "RAS")
    assert (done.returncode, done.stdout) == (21, "")
    assert "model.bin was changed" in done.stderr


def test_a_cut_file_gives_no_answer(host, kit, tmp_path):
    patient = shutil.copytree(kit / "patients" / "RAS", tmp_path / "RAS")
    for path in patient.iterdir():
        path.write_bytes(path.read_bytes()[:-1000])
    done = call(host, default_bundle_path(), patient)
    assert (done.returncode, done.stdout) == (11, "")


def test_bytes_behind_the_end_give_no_answer(host, kit, tmp_path):
    patient = shutil.copytree(kit / "patients" / "RAS", tmp_path / "RAS")
    for path in patient.iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"more", 1))
    done = call(host, default_bundle_path(), patient)
    assert (done.returncode, done.stdout) == (11, "")


def test_a_network_that_does_not_say_what_it_is_is_refused(host, build_bundle, kit):
    done = call(host, build_bundle(), kit / "patients" / "RAS")
    assert (done.returncode, done.stdout) == (20, "")
