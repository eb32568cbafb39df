# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from aminet_benchmarks.conformance.check import ANSWERS_SCHEMA
from aminet_benchmarks.conformance.kit import write_kit
from aminet_runtime.bundle import default_bundle_path


@pytest.fixture(scope="session")
def kit(tmp_path_factory) -> Path:
    """The conformance kit of the shipped bundle; not to be changed."""
    return write_kit(default_bundle_path(), tmp_path_factory.mktemp("conformance") / "kit").parent


@pytest.fixture
def answer_kit(tmp_path) -> Callable[[Path, Sequence[str]], Path]:
    """Let a command-line host answer a kit, with the three forms of examples/README.md."""

    def answer(kit: Path, host: Sequence[str]) -> Path:
        def ask(*words: object):
            command = [*host, *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        def decide(scores):
            path = tmp_path / "scores.f32"
            np.asarray(scores, "<f4").tofile(path)
            return ask("--decide", path)

        expected = json.loads((kit / "conformance.json").read_text())
        answers = {
            "schema": ANSWERS_SCHEMA,
            "slices": [
                ask("--planes", kit / one["file"], *one["shape"]) for one in expected["slices"]
            ],
            "patients": {one["name"]: ask(kit / one["folder"]) for one in expected["patients"]},
            "decisions": [decide(one["scores"]) for one in expected["decisions"]],
        }
        path = tmp_path / "answers.json"
        path.write_text(json.dumps(answers))
        return path

    return answer
