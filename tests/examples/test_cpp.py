# SPDX-License-Identifier: Apache-2.0
"""The C++ example builds from the wheel's files, conforms, and refuses what it must not run."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import openvino
import pytest

from aminet_benchmarks.conformance.check import check_answers
from aminet_runtime import Session
from aminet_runtime.bundle import default_bundle_path

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
