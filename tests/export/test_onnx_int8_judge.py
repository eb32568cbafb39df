# SPDX-License-Identifier: Apache-2.0
"""An INT8 file for ONNX Runtime that says the opposite: left out, and the bundle says so."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

from aminet_export import pipeline
from aminet_export.cli import main
from aminet_export.onnx_graph import OUTPUTS
from aminet_export.onnx_int8 import ONNX_INT8_FILE
from aminet_runtime.bundle import Bundle

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx and nncf


@dataclass(frozen=True)
class Exported:
    bundle: Path
    out: str
    err: str


def contradict(source, target, *_calibration, **_options):
    """Stand in for the quantiser: write the float network, and 1 minus what it answers."""
    model = onnx.load(source)
    answer = OUTPUTS[0]
    (last,) = (node for node in model.graph.node if answer in node.output)
    last.output[list(last.output).index(answer)] = "agreed"
    one = onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [], [1.0])
    model.graph.initializer.append(one)
    model.graph.node.append(onnx.helper.make_node("Sub", ["one", "agreed"], [answer]))
    onnx.save(model, target)


@pytest.fixture(scope="module")
def exported(simple, tmp_path_factory):
    target = tmp_path_factory.mktemp("judged") / "bundle"
    command = ["--checkpoint", str(simple.checkpoint), "--data", str(simple.data), "--int8"]
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(pipeline, "quantize_onnx", contradict)
        assert main([*command, "--max-drop", "0.25", "--json", "-o", str(target)]) == 0
    return Exported(target, out.getvalue(), err.getvalue())


def test_a_file_that_loses_too_much_is_left_out(exported):
    assert not (exported.bundle / ONNX_INT8_FILE).exists()
    assert ONNX_INT8_FILE not in (exported.bundle / "SHA256SUMS").read_text()
    assert (exported.bundle / "model.onnx").exists()
    Bundle.open(exported.bundle)


def test_card_receipt_and_command_say_that_it_was_left_out(exported):
    receipt = json.loads((exported.bundle / "parity.json").read_text())
    judged = receipt["onnx_int8"]
    assert not judged["published"]
    assert judged["drops"]["slice"]["drop"] > 0.25
    assert sum(judged["against_ir"]["patient_changes"]) > 0
    assert "ONNX int8" not in receipt["cached"]
    assert "**`model-int8.onnx` was left out**" in (exported.bundle / "README.md").read_text()
    assert "judge ONNX INT8: left out, F1 drop on test: slice +" in exported.err
    assert json.loads(exported.out)["onnx_int8"] == judged
