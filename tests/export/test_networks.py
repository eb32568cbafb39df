# SPDX-License-Identifier: Apache-2.0
"""Each network gives the same answer in torch, in the ONNX file and in the IR."""

import numpy as np
import onnxruntime
import pytest
import torch

from aminet_export import onnx_graph, openvino_ir
from aminet_runtime.engines.openvino_import import import_openvino
from aminet_train.model import DeployableModel
from aminet_train.networks import build_network
from aminet_train.networks.efficientformerv2 import EfficientFormerV2Config
from aminet_train.networks.heads import Head
from aminet_train.networks.simple_cnn import SimpleCnnConfig
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig

SIZE_PX = (64, 64)
TOLERANCE = 1e-5  # of probabilities, float32 engines that sum in other orders


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [EfficientFormerV2Config(), EfficientFormerV2Config(head=Head.DENSE), SimpleCnnConfig()],
    ids=str,
)
def test_engines_agree_with_torch(config, tmp_path):
    torch.manual_seed(0)
    preprocessing = PreprocessingConfig.from_preset("cta", size_px=SIZE_PX)
    network = build_network(config, in_channels=1, size_px=SIZE_PX)
    model = DeployableModel(Preprocessing(preprocessing), network).eval()
    slices = torch.rand(3, 1, 96, 80) * 600 - 100
    path = tmp_path / onnx_graph.ONNX_FILE
    onnx_graph.export_onnx(onnx_graph.trace(model, planes=1), path)
    with torch.inference_mode():  # after the export: it must leave the model as it was
        expected = [output.numpy() for output in model(slices)]
    onnx_graph.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    openvino = import_openvino()
    compiled = openvino.Core().compile_model(
        openvino_ir.convert(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    answers = compiled(slices.numpy())
    for number, values in enumerate(session.run(None, {onnx_graph.INPUT: slices.numpy()})):
        np.testing.assert_allclose(values, expected[number], atol=TOLERANCE)
        np.testing.assert_allclose(answers[number], expected[number], atol=TOLERANCE)
