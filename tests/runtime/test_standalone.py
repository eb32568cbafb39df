# SPDX-License-Identifier: Apache-2.0
"""The folder of `make standalone` answers like the installed command, where there is no Python.

`make standalone` names the folder and a patient in the environment, and runs these tests in the
environment that the folder was made from.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("AMINET_STANDALONE", "absent")).absolute()
PATIENT = Path(os.environ.get("AMINET_PATIENT", "absent")).absolute()
STANDALONE = FOLDER / "aminet-run"
INSTALLED = Path(sys.executable).with_name("aminet-run")
OF_EVERY_LINUX = {"ld-linux-x86-64", "libc", "libdl", "libm", "libpthread", "librt", "libz"}
CHANGING = ("created", "timings_ms", "peak_rss_mib")
TIMEOUT_S = 120

pytestmark = pytest.mark.skipif(
    not STANDALONE.exists(), reason="`make standalone` makes the folder and runs this"
)


def run(command, *words, folder=None):
    """Run without any environment variable, so without a path on which a Python could be."""
    return subprocess.run(
        [str(command), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={},
        cwd=folder,
        timeout=TIMEOUT_S,
    )


def lasting(answer):
    """Return the result without what differs from run to run."""
    assert answer.returncode == 0, answer.stderr
    return {key: value for key, value in json.loads(answer.stdout).items() if key not in CHANGING}


@pytest.fixture(scope="module")
def wanted():
    return lasting(run(INSTALLED, "--json", "--slices", "--threads", 1, PATIENT))


def test_answers_like_the_installed_command_to_the_last_bit(wanted):
    assert wanted["slices"]["count"] > 200
    assert lasting(run(STANDALONE, "--json", "--slices", "--threads", 1, PATIENT)) == wanted


def needed_by(*files):
    """Find the libraries that the system would load for these files."""
    command = ["ldd", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert "not found" not in done.stdout
    return set(map(Path, re.findall(r"(/\S+) \(0x", done.stdout)))


def libraries_from_outside():
    """Find what the folder takes from the system: its starter everything."""
    inside = list(FOLDER.rglob("*.so*"))
    names = {path.name for path in inside}
    return needed_by(STANDALONE) | {p for p in needed_by(*inside) if p.name not in names}


def test_takes_the_c_library_and_zlib_of_the_system_and_no_more():
    names = {path.name.partition(".so")[0] for path in libraries_from_outside()}

    assert names <= OF_EVERY_LINUX


IN_A_ROOT_OF_ITS_OWN = """
root=$1; shift
mount --rbind /proc "$root/proc" && mount --rbind /sys "$root/sys" || exit 98
exec chroot "$root" "$@"
"""
NAMESPACES = ("unshare", "--user", "--map-root-user", "--mount", "--net")


@pytest.fixture
def bare_root(tmp_path):
    """A file system that holds the folder, a patient, the C library and zlib, and nothing else."""
    for name in ("proc", "sys"):
        (tmp_path / name).mkdir()
    for path in libraries_from_outside():
        target = tmp_path / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copytree(FOLDER, tmp_path / "aminet", symlinks=True)
    shutil.copytree(PATIENT, tmp_path / PATIENT.name)
    return tmp_path


def test_runs_in_a_root_without_python_shell_or_network(bare_root, wanted):
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    probe = [*NAMESPACES, "sh", "-c", "mount --rbind /proc /proc"]
    if subprocess.run(probe, check=False, capture_output=True, env=path, timeout=9).returncode:
        pytest.skip("this machine allows no namespaces")
    words = ["/aminet/aminet-run", "--json", "--slices", "--threads", "1", f"/{PATIENT.name}"]

    answer = subprocess.run(
        [*NAMESPACES, "sh", "-c", IN_A_ROOT_OF_ITS_OWN, "sh", str(bare_root), *words],
        capture_output=True,
        text=True,
        check=False,
        env=path,
        timeout=TIMEOUT_S,
    )

    assert lasting(answer) == wanted


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("words", [("--doctor",), ("--threads", "1", "PATIENT")])
def test_opens_no_socket_and_starts_no_program(tmp_path, words):
    trace = tmp_path / "trace"
    strace = [shutil.which("strace"), "-f", "-e", "trace=%network,execve", "-o", trace]
    given = [PATIENT if word == "PATIENT" else word for word in words]

    answer = run(*strace, STANDALONE, *given)

    assert answer.returncode == 0, answer.stderr
    calls = re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE)
    assert calls == ["execve", "execve"], "the starter starts itself anew, once"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["--no-such-option"], 2),
        (["absent"], 10),
        (["--bundle", "bundle", "damaged"], 11),
        (["--bundle", "changed", "patient"], 21),
        (["--bundle", "bundle", "--time-limit", "0.001", "patient"], 40),
        (["--json", "absent"], 10),
    ],
)
def test_ends_as_the_installed_command_does(tmp_path, write_patient, bundle_path, words, code):
    shutil.copytree(write_patient(), tmp_path / "patient")
    damaged = shutil.copytree(tmp_path / "patient", tmp_path / "damaged")
    for path in damaged.glob("*.nii*"):
        path.write_bytes(path.read_bytes()[:-9])
    (tmp_path / "bundle").symlink_to(bundle_path)
    changed = shutil.copytree(bundle_path, tmp_path / "changed")
    (changed / "model.bin").write_bytes(b"changed")

    answers = [run(command, *words, folder=tmp_path) for command in (INSTALLED, STANDALONE)]

    assert [answer.returncode for answer in answers] == [code, code]
    assert answers[0].stdout == answers[1].stdout
    if code != 40:  # how far it came is in the message
        assert answers[0].stderr == answers[1].stderr


def test_workers_of_several_jobs_start_from_the_folder(tmp_path, write_patient, bundle_path):
    patients = [write_patient(name) for name in ("a", "b", "c")]
    words = ("--bundle", bundle_path, "--jobs", 2, "-o", tmp_path / "results", *patients)

    answer = run(STANDALONE, *words)

    assert answer.returncode == 0, answer.stderr
    assert sorted(path.parent.name for path in tmp_path.glob("results/*/result.json")) == [*"abc"]


def test_engine_that_is_not_in_the_folder_is_named():
    answer = run(STANDALONE, "--engine", "onnxruntime", PATIENT)

    assert answer.returncode == 22
    assert "ONNX Runtime cannot be loaded" in answer.stderr


def test_doctor_knows_the_versions():
    line = run(STANDALONE, "--doctor").stdout.splitlines()[0]

    assert re.search(r"numpy \d.*openvino \d.*isal \d", line)


def test_licences_travel_with_what_they_are_for():
    about = {path.name.partition("-")[0]: path for path in FOLDER.glob("_internal/*.dist-info")}

    assert set(about) == {"aminet", "isal", "numpy", "openvino", "pyinstaller", "python.dist"}
    for folder in about.values():
        assert list(folder.rglob("LICEN*")) or list(folder.rglob("COPYING*"))


def test_nothing_heavy_and_no_file_of_the_building_machine_is_inside():
    names = {path.name for path in FOLDER.rglob("*")}

    assert not [name for name in names if re.match(r"(lib)?(torch|scipy(?!_openblas)|onnx)", name)]
    assert "direct_url.json" not in names
