# SPDX-License-Identifier: Apache-2.0
"""Run the tests of `tests/runtime/test_fuzz.py` under atheris, one after the other; `make fuzz`.

    python tests/fuzz.py 600      ten minutes, shared by all tests

Each test runs in a process of its own, since libFuzzer ends the process that it runs in. A finding
is printed with its traceback, and the exit code is then that of libFuzzer.
"""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).parent / "runtime" / "test_fuzz.py"


def load_tests() -> ModuleType:
    spec = importlib.util.spec_from_file_location("test_fuzz", TESTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fuzz_one(name: str, seconds: int) -> None:
    """Fuzz one test until its time is up; does not return."""
    import atheris  # noqa: PLC0415 - needed in the children only

    with atheris.instrument_imports(include=["aminet_runtime"]):
        test = getattr(load_tests(), name)
    options = [f"-max_total_time={seconds}", "-max_len=8192", "-rss_limit_mb=2048", "-timeout=30"]
    atheris.Setup([sys.argv[0], *options], test.hypothesis.fuzz_one_input)
    atheris.Fuzz()


def fuzz_all(seconds: int) -> int:
    """Fuzz each test in turn, and return the exit code of the first finding."""
    names = [name for name, _ in inspect.getmembers(load_tests()) if name.startswith("test_")]
    for name in names:
        print(f"{name}: {seconds // len(names)} s", flush=True)  # noqa: T201 - a program
        command = [sys.executable, __file__, name, str(seconds // len(names))]
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        fuzz_one(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(fuzz_all(int(sys.argv[1])))
