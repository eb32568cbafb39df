# SPDX-License-Identifier: Apache-2.0
"""Kits for the examples, and copies of the examples with the faults that ports have."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aminet_benchmarks.conformance.check import ANSWERS_SCHEMA
from aminet_benchmarks.conformance.kit import write_kit
from aminet_runtime.bundle import write_checksums
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.regions import REGION_COUNT

EXAMPLES = Path(__file__).parents[2] / "examples"
FULL_HU = 400.0
ROWS, COLUMNS = 16, 15  # what the network of `lopsided_bundle` looks at


@dataclass(frozen=True)
class Fault:
    """A line of examples/js as a careless port would write it.

    Attributes:
        module: The file.
        line: What stands there.
        fault: What stands there instead.
        shows: How the sentences of the kit's check start that must complain.
    """

    module: str
    line: str
    fault: str
    shows: str


FAULTS = {
    "window": Fault(
        "run.mjs",
        'new ort.Tensor("float32", planes,',
        'new ort.Tensor("float32", planes.map((hu) => Math.min(1, Math.max(0, hu / 400))),',
        "slice 0:",
    ),
    "orientation": Fault(
        "nifti.mjs",
        "flipped[world] = (column[world] > 0) === (world !== 2);",
        "flipped[world] = false;",
        "patient RAS:",
    ),
    "threshold": Fault(
        "decision.mjs",
        "const threshold = decision.thresholds[index];",
        "const threshold = decision.thresholds[index] + 1e-6;",
        "decision ",
    ),
}


@pytest.fixture(scope="session", params=FAULTS)
def fault(request) -> Fault:
    return FAULTS[request.param]


@pytest.fixture
def spoil_example(tmp_path) -> Callable[[str, Fault], Path]:
    """Copy an example with a fault in the modules that it shares, and return its folder."""

    def spoil(name: str, fault: Fault) -> Path:
        root = tmp_path / "examples"
        for folder in ("js", name):
            ignored = shutil.ignore_patterns("node_modules")
            shutil.copytree(EXAMPLES / folder, root / folder, ignore=ignored)
        (root / name / "node_modules").symlink_to(EXAMPLES / name / "node_modules")
        module = root / "js" / fault.module
        text = module.read_text(encoding="utf-8")
        assert text.count(fault.line) == 1
        module.write_text(text.replace(fault.line, fault.fault), encoding="utf-8")
        return root / name

    return spoil


@pytest.fixture(scope="session")
def lopsided_bundle(build_bundle, tmp_path_factory) -> Path:
    """A bundle with a model.onnx that tells right from left and front from back.

    The shipped bundle has no model.onnx, and that of the tests averages over rows.
    """
    bundle = shutil.copytree(
        build_bundle(with_onnx=True), tmp_path_factory.mktemp("lopsided") / "b"
    )
    (bundle / "model.onnx").write_bytes(_lopsided_network())
    write_checksums(bundle)
    return bundle


@pytest.fixture(scope="session")
def onnx_kit(lopsided_bundle, tmp_path_factory) -> Path:
    """The kit of the lopsided bundle, with what ONNX Runtime answers in Python."""
    folder = tmp_path_factory.mktemp("conformance") / "onnx"
    return write_kit(lopsided_bundle, folder, engine=EngineName.ONNXRUNTIME).parent


def _lopsided_network() -> bytes:
    """Weigh each of 16 x 15 parts of the slice by a number of its own, for each region."""
    import onnx  # noqa: PLC0415 - takes a second, and few tests need it
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    weights = np.random.default_rng(0).random((ROWS * COLUMNS, REGION_COUNT), np.float32)
    constants = {
        "zero": np.float32(0.0),
        "full": np.float32(FULL_HU),
        "weights": weights / (weights.sum(axis=0) * np.float32(FULL_HU)),
        "size": np.array([1, ROWS, COLUMNS]),
        "by_part": np.array([0, ROWS * COLUMNS]),
        "as_map": np.array([0, 1, ROWS, COLUMNS]),
        "regions": np.array([1, REGION_COUNT, 1, 1]),
    }
    nodes = [
        helper.make_node("Shape", ["slices"], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "size"], ["sizes"], axis=0),
        helper.make_node("Clip", ["slices", "zero", "full"], ["clamped"]),
        helper.make_node("Resize", ["clamped", "", "", "sizes"], ["parts"], mode="linear"),
        helper.make_node("Reshape", ["parts", "by_part"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["probabilities"]),
        helper.make_node("Reshape", ["parts", "as_map"], ["map"]),
        helper.make_node("Expand", ["map", "regions"], ["evidence"]),
    ]
    slices = helper.make_tensor_value_info("slices", TensorProto.FLOAT, ["N", 1, "H", "W"])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", REGION_COUNT, *map_shape])
        for name, map_shape in (("probabilities", ()), ("evidence", (ROWS, COLUMNS)))
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "lopsided", [slices], outputs, tensors)
    opset = [helper.make_opsetid("", 20)]
    return bytes(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    )


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
