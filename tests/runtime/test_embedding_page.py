# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/embedding.md run, and type checkers accept them."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import aminet_runtime
from aminet_runtime.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
EXAMPLES = (
    re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    if PAGE.exists()
    else []
)

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documents are not here")


@pytest.fixture
def surroundings(bundle_path, write_patient, tmp_path, monkeypatch):
    """The folders that the examples name."""
    shutil.copytree(bundle_path, tmp_path / "bundle")
    for name in ("379", "380"):
        write_patient(name)
    (tmp_path / "cohort").rename(tmp_path / "scans")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(surroundings, number):
    script = surroundings / "example.py"
    script.write_text(EXAMPLES[number], encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, timeout=120
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_there_are_examples():
    assert len(EXAMPLES) == 5


@pytest.mark.slow
def test_type_checkers_accept_the_examples(tmp_path):
    api = pytest.importorskip("mypy.api")
    for number, example in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(example, encoding="utf-8")
    root = Path(aminet_runtime.__file__).parents[1]
    is_installed = root.name == "site-packages"  # mypy finds it there by itself
    where = "" if is_installed else f"mypy_path = {root}\n"
    config = tmp_path / "mypy.ini"
    config.write_text(
        f"[mypy]\nstrict = true\n{where}follow_imports = silent\n"
        "[mypy-openvino.*,isal.*,onnxruntime.*]\nignore_missing_imports = true\n"
    )
    files = sorted(map(str, tmp_path.glob("example_*.py")))
    out, err, code = api.run(["--config-file", str(config), "--cache-dir", os.devnull, *files])

    assert code == 0, out + err


def test_sessions_of_different_threads_give_the_same_answers(bundle_path, write_patient):
    folders = [write_patient(name, affected=(number,)) for number, name in enumerate("abcd", 4)]

    def run(folder):
        with Session.open(bundle_path, threads=1) as session:
            return session.run(folder).scores

    alone = [run(folder) for folder in folders]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, folders))

    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
