# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime behind the protocol: the same answers, the same errors, only hashed bytes."""

import shutil
import sys

import numpy as np
import pytest

from aminet_runtime.bundle import Bundle, write_checksums
from aminet_runtime.cli import main
from aminet_runtime.doctor import diagnose
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.engines.onnxruntime import OnnxRuntimeEngine
from aminet_runtime.errors import ModelIncompatible, ModelInvalid, ModelUntrusted
from aminet_runtime.patient import Channel
from aminet_runtime.session import Session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SUM_IN_FLOAT32 = 2e-6
"""Averages of 60 x 4 float32 values between 0 and 1: some units in the last place."""

CHANNELS = (Channel.CTA1, Channel.CTA2)


@pytest.fixture
def onnx_bundle(build_bundle):
    return build_bundle(with_onnx=True)


@pytest.fixture
def change_onnx(onnx_bundle, tmp_path):
    """Copy the bundle with another model.onnx, published as it should be."""

    def change(content):
        folder = tmp_path / "changed"
        shutil.copytree(onnx_bundle, folder)
        (folder / "model.onnx").write_bytes(content)
        write_checksums(folder)
        return Bundle.open(folder)

    return change


def run(folder, bundle, engine):
    with Session.open(bundle, threads=1, engine=engine) as session:
        return session.run(folder)


@pytest.mark.parametrize("window", [1, 3])
def test_answers_as_openvino_does(build_bundle, write_patient, window):
    folder = write_patient(channels=CHANNELS)
    bundle = build_bundle(channels=CHANNELS, window=window, with_onnx=True)
    by_openvino, by_onnxruntime = (run(folder, bundle, engine) for engine in EngineName)

    np.testing.assert_allclose(by_onnxruntime.scores, by_openvino.scores, atol=SUM_IN_FLOAT32)
    assert [r.affected for r in by_onnxruntime.regions] == [r.affected for r in by_openvino.regions]


def test_result_says_what_ran(onnx_bundle, write_patient):
    result = run(write_patient(), onnx_bundle, EngineName.ONNXRUNTIME)

    assert result.model.engine.startswith("ONNX Runtime ")
    assert result.model.precision == "fp32"
    assert [warning.code for warning in result.warnings] == ["W2202"]


def test_one_session_takes_slices_of_several_sizes(onnx_bundle):
    with Session.open(onnx_bundle, engine=EngineName.ONNXRUNTIME) as session:
        for size in (60, 90, 60):
            answer = session.answer(np.full((1, size, size), 400.0, np.float32))
            np.testing.assert_allclose(answer.probabilities, 1.0)
        assert session.engine_settings["PROVIDERS"] == "CPUExecutionProvider"


def test_threads_do_not_change_the_answer(onnx_bundle, make_head):
    plane = make_head(affected=(3,)).astype(np.float32)[6:7]
    answers = []
    for threads in (1, 2):
        with Session.open(onnx_bundle, threads=threads, engine=EngineName.ONNXRUNTIME) as session:
            answers.append(session.answer(plane).probabilities)

    assert np.array_equal(*answers)


def test_bundle_without_onnx_is_incompatible(bundle_path):
    with pytest.raises(ModelIncompatible, match=r"holds no model\.onnx") as caught:
        Session.open(bundle_path, engine=EngineName.ONNXRUNTIME)

    assert caught.value.code == "E2223"
    assert "--engine openvino" in caught.value.hint


def test_missing_package_is_incompatible_and_says_how_to_get_it(onnx_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelIncompatible, match="ONNX Runtime cannot be loaded") as caught:
        Session.open(onnx_bundle, engine=EngineName.ONNXRUNTIME)

    assert caught.value.code == "E2203"
    assert "aminet[onnxruntime]" in caught.value.hint


def test_changed_network_is_untrusted(onnx_bundle, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(onnx_bundle, folder)
    opened = Bundle.open(folder)
    (folder / "model.onnx").write_bytes(b"changed since it was opened")
    with pytest.raises(ModelUntrusted, match="its hash differs"):
        OnnxRuntimeEngine(opened, threads=1)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x0a" * 40])
def test_network_that_cannot_be_parsed_is_invalid(change_onnx, content):
    with pytest.raises(ModelInvalid, match="cannot read the network") as caught:
        OnnxRuntimeEngine(change_onnx(content), threads=1)

    assert caught.value.code == "E2023"
    assert caught.value.path.name == "model.onnx"


def test_weights_outside_of_the_hashed_bytes_are_refused(
    onnx_bundle, change_onnx, tmp_path, monkeypatch
):
    """ONNX Runtime would read them from the current folder."""
    monkeypatch.chdir(tmp_path)
    model = onnx.load(onnx_bundle / "model.onnx")
    external = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(model, tmp_path / "model.onnx", **external)
    assert (tmp_path / "weights.bin").stat().st_size

    with pytest.raises(ModelInvalid, match="cannot read the network"):
        OnnxRuntimeEngine(change_onnx((tmp_path / "model.onnx").read_bytes()), threads=1)


def rename_an_output(model):
    model.graph.output[0].name = model.graph.node[-2].output[0] = "scores"
    model.graph.node[-1].input[0] = "scores"


def other_planes(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2


@pytest.mark.parametrize("change", [rename_an_output, other_planes])
def test_network_of_another_contract_is_invalid(onnx_bundle, change_onnx, change):
    model = onnx.load(onnx_bundle / "model.onnx")
    change(model)
    with pytest.raises(ModelInvalid) as caught:
        OnnxRuntimeEngine(change_onnx(model.SerializeToString()), threads=1)

    assert caught.value.code in {"E2023", "E2024"}  # ONNX Runtime itself may notice


def test_size_that_the_network_cannot_take_is_invalid(onnx_bundle, change_onnx, capfd):
    model = onnx.load(onnx_bundle / "model.onnx")
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_value = 60
    engine = OnnxRuntimeEngine(change_onnx(model.SerializeToString()), threads=1)
    with pytest.raises(ModelInvalid, match="cannot take slices of 61 x 60 pixels") as caught:
        engine.compile(height=60, width=61)

    assert caught.value.code == "E2025"
    assert capfd.readouterr().err == "", "the error is raised and not logged"


def test_command_runs_it(onnx_bundle, write_patient, capsys):
    words = ["--bundle", str(onnx_bundle), "--engine", "onnxruntime", str(write_patient())]

    assert main(words) == 0
    assert "ONNX Runtime" in capsys.readouterr().out


def test_doctor_examines_it_without_openvino(onnx_bundle):
    diagnosis = diagnose(onnx_bundle, engine=EngineName.ONNXRUNTIME)

    assert diagnosis.exit_code == 0
    assert [check.name for check in diagnosis.checks if check.name in {"cpu", "arithmetic"}] == []
    assert "ONNX Runtime" in diagnosis.to_text()
