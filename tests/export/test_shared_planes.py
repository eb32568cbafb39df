# SPDX-License-Identifier: Apache-2.0
"""A channel with several windows: the bundle takes it once, and says what training saw."""

import numpy as np
import onnx
import onnxruntime
import openvino as ov
import pytest
import torch

from aminet_export.onnx_graph import INPUT, ONNX_FILE
from aminet_export.onnx_int8 import ONNX_INT8_FILE
from aminet_export.openvino_ir import read
from aminet_export.pipeline import export_bundle
from aminet_export.plan import Backend, ExportReport
from aminet_export.shared_planes import share_planes_in_ir
from aminet_export.slices import folder_slices
from aminet_runtime.bundle import Bundle
from aminet_runtime.errors import ModelIncompatible
from aminet_runtime.session import Session
from aminet_train.checkpoint import load_model
from aminet_train.cohort.pool import PatientPool
from aminet_train.cohort.splits import Split
from aminet_train.judging.candidates import open_candidate
from aminet_train.networks import Approach
from aminet_train.preprocessing import PreprocessingConfig
from aminet_train.slice_window import SINGLE_SLICE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx

CONFIG = PreprocessingConfig.from_preset(
    "cta", size_px=(64, 64), windows_hu=((-100.0, 500.0), (0.0, 100.0))
)
ONE_WINDOW = PreprocessingConfig.from_preset("cta", size_px=(64, 64))


@pytest.fixture(scope="module")
def made(workshop):
    return workshop.make("two-windows", Approach.SIMPLE_CNN, preprocessing=CONFIG)


@pytest.fixture(scope="module")
def report(made, workshop, tmp_path_factory) -> ExportReport:
    plan = made.plan(
        tmp_path_factory.mktemp("export") / "two-windows",
        backend=Backend.BOTH,
        parity_patient=workshop.patient,
    )
    return export_bundle(plan)


def test_the_bundle_takes_each_channel_once(report):
    assert read(report.bundle).inputs[0].partial_shape[1].get_length() == 1
    for name in (ONNX_FILE, ONNX_INT8_FILE):
        graph = onnx.load(report.bundle / name).graph
        assert graph.input[0].type.tensor_type.shape.dim[1].dim_value == 1
    contract = Bundle.open(report.bundle).metadata.input
    assert (contract.planes, contract.window_hu) == (1, ((-100.0, 500.0),))
    assert contract.window_counts == (2,)


def test_an_evaluation_says_that_prepared_slices_do_not_tell_its_hu(report, made):
    pool = PatientPool.open([made.data])
    with pytest.raises(ModelIncompatible, match="several windows a channel"):
        open_candidate(report.bundle).patients(pool, [Split.TEST])


def test_the_runtime_runs_it_on_a_patient_folder(report, workshop):
    with Session.open(report.bundle) as session:
        assert len(session.run(workshop.patient).regions) == 15


def test_the_file_that_ships_gives_the_answers_of_the_checkpoint(report, made, workshop):
    _info, model = load_model(made.checkpoint)
    session = onnxruntime.InferenceSession(report.bundle / ONNX_FILE)
    for part in folder_slices(workshop.patient, ONE_WINDOW, SINGLE_SLICE):
        expected = model(torch.from_numpy(part.slices_hu))[0].detach().numpy()
        found = session.run(["probabilities"], {INPUT: part.slices_hu})[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)  # engines of float32


def test_every_stage_was_compared_at_full_size(report):
    stages = report.verdict.full_size
    assert list(stages) == ["torch", "ONNX", "IR float", "IR int8", "ONNX int8"]
    assert stages["IR float"].max_difference <= 1e-4
    assert report.verdict.preprocessing_difference <= 0.51 / 255


def test_copies_at_the_door_change_no_bit():
    apart = ov.opset13.parameter([-1, 4, -1, -1], np.float32, name=INPUT)
    weights = ov.opset13.constant(np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1))
    model = ov.Model([ov.opset13.multiply(apart, weights)], [apart])
    share_planes_in_ir(model, [0, 1, 0, 1])
    planes = np.random.default_rng(0).normal(size=(1, 2, 3, 3)).astype(np.float32)
    found = ov.Core().compile_model(model, "CPU")(planes)[0]
    expected = planes[:, [0, 1, 0, 1]] * np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
    np.testing.assert_array_equal(found, expected)
