# SPDX-License-Identifier: Apache-2.0
"""The runtime is light and silent: no heavy module, no network, no child process, no stray file.

Each test runs in an interpreter of its own, which has been made hostile before the first import.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aminet_runtime

PACKAGE = Path(aminet_runtime.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
)
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "onnx",
    "onnxruntime",
    "nncf",
    "ray",
    "scipy",
    "pandas",
    "matplotlib",
    "nibabel",
    "psutil",
    "safetensors",
    "aminet_train",
    "aminet_export",
    "aminet_benchmarks",
)

BLOCK_IMPORTS = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise AssertionError(f"the runtime imported {{name}}")

sys.meta_path.insert(0, Blocker())
"""

REFUSE = """
import sys

FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname",
             "socket.gethostbyaddr", "socket.getnameinfo", "socket.sendto", "socket.sendmsg",
             "subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec",
             "pickle.find_class", "urllib.Request", "http.client.connect")

def refuse(event, arguments):
    if event in FORBIDDEN:
        sys.stderr.write(f"REFUSED {event} {arguments}\\n")
        sys.stderr.flush()
        import os
        os._exit(99)  # an exception might be swallowed

sys.addaudithook(refuse)
"""

MAIN = "from aminet_runtime.cli import main; raise SystemExit(main())"


def in_child(code, *words, **keywords):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.update(keywords.pop("environment", {}))
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        **keywords,
    )


def test_every_module_imports_without_anything_heavy():
    assert len(MODULES) > 30
    code = (
        f"{BLOCK_IMPORTS}\nimport importlib\nfor name in {MODULES!r}: importlib.import_module(name)"
    )

    answer = in_child(code)

    assert answer.returncode == 0, answer.stderr


def test_whole_run_imports_nothing_heavy(bundle_path, write_patient):
    answer = in_child(BLOCK_IMPORTS + MAIN, "--bundle", bundle_path, write_patient(), "--json")

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["status"] == "ok"


def test_blocker_would_notice():
    assert "the runtime imported scipy" in in_child(BLOCK_IMPORTS + "import scipy").stderr


@pytest.mark.parametrize("words", [(), ("--doctor",)])
def test_run_opens_no_connection_and_starts_no_process(bundle_path, write_patient, words):
    patients = () if words else (write_patient(),)

    answer = in_child(REFUSE + MAIN, "--bundle", bundle_path, *patients, *words)

    assert answer.returncode == 0, answer.stderr
    assert "REFUSED" not in answer.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
    ],
)
def test_guard_would_notice(code):
    assert in_child(REFUSE + code).returncode == 99


def test_import_of_openvino_in_a_host_starts_no_process():
    """The library's own path, which keeps OpenVINO's model converter for its host."""
    code = REFUSE + "from aminet_runtime.engines.openvino_import import import_openvino as i; i()"

    answer = in_child(code)

    assert answer.returncode == 0, answer.stderr


def test_run_writes_nothing_but_result_and_report(bundle_path, write_patient, tmp_path):
    home, work, temporary = (tmp_path / name for name in ("home", "work", "temporary"))
    for folder in (home, work, temporary):
        folder.mkdir()
    places = {"HOME": str(home), "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(home / ".cache")}

    answer = in_child(
        MAIN,
        *("--bundle", bundle_path, write_patient(), "-o", work / "results"),
        cwd=work,
        environment=places,
    )

    assert answer.returncode == 0, answer.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    outside = [path for path in written if not path.is_relative_to(tmp_path / "cohort")]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in outside) == [
        "work/results/379/report.html",
        "work/results/379/result.json",
    ]


@pytest.mark.skipif(not Path("/proc/self/ns/net").exists(), reason="needs network namespaces")
def test_run_works_without_any_network(bundle_path, write_patient):
    words = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", MAIN]
    try:
        probe = subprocess.run([*words[:4], "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if probe.returncode:
        pytest.skip("this machine allows no namespaces")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    answer = subprocess.run(
        [*words, "--bundle", str(bundle_path), str(write_patient()), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["status"] == "ok"


POSIX_ONLY = ("resource", "fcntl", "pwd", "grp", "termios", "pty", "tty", "posix")


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_posix_only_modules_in_functions_only(module):
    parts = module.removesuffix(".__init__").split(".")
    path = PACKAGE.parent.joinpath(*parts)
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(source.read_text(encoding="utf-8"))

    imported = {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }

    assert not imported & set(POSIX_ONLY)


HIDE_POSIX = """
import os, signal, sys, time

for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "O_NONBLOCK", "O_NOFOLLOW", "O_NOCTTY", "O_CLOEXEC", "sysconf",
             "geteuid", "getuid"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("setitimer", "SIGALRM", "ITIMER_REAL"):
    if hasattr(signal, name):
        delattr(signal, name)
for name in ("CLOCK_BOOTTIME", "clock_gettime"):
    if hasattr(time, name):
        delattr(time, name)
"""


def test_run_works_where_posix_is_hidden(bundle_path, write_patient, tmp_path):
    answer = in_child(
        HIDE_POSIX + MAIN,
        *("--bundle", bundle_path, write_patient(), "--json", "-o", tmp_path / "results"),
        "--no-clobber",
    )

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["status"] == "ok"
    assert (tmp_path / "results" / "379" / "result.json").exists()
    assert (tmp_path / "results" / "379" / "report.html").exists()


@pytest.mark.parametrize("words", [["--jobs", "2", "--skip-done"], ["--doctor"]])
def test_workers_and_doctor_do_without_posix(bundle_path, write_patient, tmp_path, words):
    """`sitecustomize` hides it in the processes that the command starts, too."""
    (tmp_path / "sitecustomize.py").write_text(HIDE_POSIX, encoding="utf-8")
    output = tmp_path / "results"
    patients = [] if "--doctor" in words else [write_patient(name) for name in ("a", "b", "c")]
    places = ["-o", str(output)] if patients else []
    code = "from aminet_runtime.cli import main; import sys; sys.exit(main())"

    answer = subprocess.run(
        [sys.executable, "-c", code, "--bundle", bundle_path, *words, *places, *patients],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )

    assert answer.returncode == 0, answer.stderr
    assert sorted(path.parent.name for path in output.glob("*/result.json")) == [
        patient.name for patient in patients
    ]
