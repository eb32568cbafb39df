# SPDX-License-Identifier: Apache-2.0
"""Whatever befalls a run, its outputs are whole or absent, and the next run leaves no stray.

Errors of the disk are injected by a library that is loaded before libc (LD_PRELOAD) and lets one
system call below a folder fail, or kills the process there. Each call in turn is tried.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int count, wanted, tracked[4096];

void fault_at(int at) { count = 0; wanted = at; }
int fault_count(void) { return count; }

static int below(const char *path) {
  const char *folder = getenv("FAULT_FOLDER");
  return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int fails(void) {
  if (!wanted || ++count != wanted) return 0;
  if (getenv("FAULT_KILLS")) raise(SIGKILL);
  errno = atoi(getenv("FAULT_ERRNO"));
  return 1;
}

#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

static int opened(const char *path, int flags, int fd) {
  if (fd >= 0 && fd < 4096) tracked[fd] = below(path) && (flags & O_ACCMODE) != O_RDONLY;
  return fd;
}

#define OPEN(name)                                                              \
  int name(const char *path, int flags, ...) {                                  \
    va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
    if ((flags & O_CREAT) && below(path) && fails()) return -1;                 \
    return opened(path, flags, REAL(int, #name, const char *, int, ...)(path, flags, mode)); \
  }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *data, size_t size) {
  if (fd >= 0 && fd < 4096 && tracked[fd] && fails()) return -1;
  return REAL(ssize_t, "write", int, const void *, size_t)(fd, data, size);
}
int fsync(int fd) {
  if (fd >= 0 && fd < 4096 && tracked[fd] && fails()) return -1;
  return REAL(int, "fsync", int)(fd);
}
int close(int fd) {
  if (fd >= 0 && fd < 4096) tracked[fd] = 0;
  return REAL(int, "close", int)(fd);
}
int rename(const char *from, const char *to) {
  if (below(to) && fails()) return -1;
  return REAL(int, "rename", const char *, const char *)(from, to);
}
int mkdir(const char *path, mode_t mode) {
  if (below(path) && fails()) return -1;
  return REAL(int, "mkdir", const char *, mode_t)(path, mode);
}
"""
RUNNER = """
import ctypes, os, shutil, sys
from pathlib import Path
from aminet_runtime.cli import main
from aminet_runtime.patient import PatientFolder
from aminet_runtime.publish import require_writable_folder
from aminet_runtime.result import PatientResult
from aminet_runtime.result_place import ResultPlace
from aminet_runtime.sessions import open_session

patient, bundle, results, mode = sys.argv[1:]
shim = ctypes.CDLL(None)
folder = Path(results)
words = [patient, "--bundle", bundle, "-o", results, "--json"]
sys.stdout = open(os.devnull, "w")


if mode == "kills":
    with open_session(bundle, threads=1) as session:
        place = ResultPlace(folder, to_json=PatientResult.to_json)
        opened, keeper = PatientFolder.open(patient), place.keeper(session)
        result = session.run(opened, observer=keeper)
        exhibits = place.exhibits(keeper, result, opened)


def contents():
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_whole(files):
    whole = files.get("result.json", b"}\\n").endswith(b"}\\n")
    return whole and files.get("report.html", b"</html>\\n").endswith(b"</html>\\n")


def run(at):
    if mode == "errors":
        shim.fault_at(at)
        code = main(words)
        reached = shim.fault_count() >= at
        shim.fault_at(0)
        return code, reached
    child = os.fork()  # it only writes: OpenVINO does not survive a fork
    if child == 0:
        shim.fault_at(at)
        require_writable_folder(folder)
        place.write(Path(patient), result, exhibits)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return (-os.WTERMSIG(status), True) if os.WIFSIGNALED(status) else (0, False)


steps = 0
for old in (False, True):
    at, reached = 1, True
    while reached:
        shutil.rmtree(folder, ignore_errors=True)
        if old:
            assert main(words) == 0
        before = contents()
        code, reached = run(at)
        after = contents()
        assert code in ((0, 30) if mode == "errors" else (0, -9)), code
        if mode == "errors":
            assert not [name for name in after if name.endswith(".partial")], after.keys()
            assert code == 30 or after.get("result.json"), "said 0, and there is no result"
        finished = {name: data for name, data in after.items() if not name.endswith(".partial")}
        assert is_whole(finished), (at, finished.keys())
        if old:
            assert finished.get("result.json"), "the old one, or the new one"
        assert main(words) == 0
        assert set(contents()) == {"result.json", "report.html"}, "a stray is left"
        steps += reached
        at += 1
print(steps, file=sys.stderr)
"""
LEAST_STEPS = 20
KILLS = int(os.environ.get("AMINET_TEST_KILLS", "8"))
"""How often a run is killed at a random moment; 50 were tried before a release."""

COMMAND = [sys.executable, "-c", "from aminet_runtime.cli import main; raise SystemExit(main())"]

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD, SIGKILL"),
    pytest.mark.slow,
]


def environment(**changes):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **changes}


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc to build the library with")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    library = folder / "shim.so"
    build = ["gcc", "-shared", "-fPIC", "-o", library, folder / "shim.c", "-ldl"]
    subprocess.run(build, check=True)
    return library


@pytest.fixture
def run_with_faults(shim, bundle_path, write_patient, tmp_path):
    """Let each system call below the place for results fail in turn; return how many there were."""

    def run(mode, **changes):
        results = tmp_path / "results"
        words = [sys.executable, "-c", RUNNER, write_patient(), bundle_path, results, mode]
        faults = {"LD_PRELOAD": str(shim), "FAULT_FOLDER": str(results), **changes}
        done = subprocess.run(
            [*map(str, words)],
            env=environment(**faults),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return int(done.stderr.splitlines()[-1])

    return run


@pytest.mark.parametrize("name", ["ENOSPC", "EIO", "EROFS"])
def test_error_of_the_disk_at_each_step_leaves_outputs_whole_or_absent(run_with_faults, name):
    import errno  # noqa: PLC0415 - by name

    assert run_with_faults("errors", FAULT_ERRNO=str(getattr(errno, name))) >= LEAST_STEPS


def test_kill_at_each_step_leaves_outputs_whole_or_absent(run_with_faults):
    assert run_with_faults("kills", FAULT_KILLS="1") >= LEAST_STEPS


def test_kill_at_a_random_moment_leaves_outputs_whole_or_absent(
    bundle_path, write_patient, tmp_path
):
    results = tmp_path / "results"
    words = [*COMMAND, str(write_patient()), "--bundle", str(bundle_path), "-o", str(results)]
    began = time.perf_counter()
    subprocess.run(words, env=environment(), check=True, capture_output=True)
    usual_s = time.perf_counter() - began
    moments = random.Random(7)  # noqa: S311 - no secret

    for _ in range(KILLS):
        with subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL) as process:
            time.sleep(moments.uniform(0.0, usual_s))
            process.send_signal(signal.SIGKILL)
        json.loads((results / "379" / "result.json").read_bytes())

    subprocess.run(words, env=environment(), check=True, capture_output=True)
    assert names_below(results) == ["report.html", "result.json"]


def test_eight_runs_into_one_folder_do_not_disturb_each_other(bundle_path, write_patient, tmp_path):
    results = tmp_path / "results"
    words = [*COMMAND, str(write_patient()), "--bundle", str(bundle_path), "-o", str(results)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    runs = [subprocess.Popen(words, env=environment(), text=True, **quiet) for _ in range(8)]
    errors = [run.communicate()[1] for run in runs]

    assert errors == [""] * 8
    assert {run.returncode for run in runs} == {0}
    assert names_below(results) == ["report.html", "result.json"]
    json.loads((results / "379" / "result.json").read_bytes())


def names_below(folder: Path):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
