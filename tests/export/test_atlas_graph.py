# SPDX-License-Identifier: Apache-2.0
"""The graph of a network that asks the atlas: what its front shows, and what stays float."""

import numpy as np
import pytest
import torch

from aminet_export.onnx_graph import export_onnx, trace
from aminet_export.openvino_ir import convert
from aminet_export.preprocessing_check import network_input
from aminet_export.resizing import RESIZED_ATLAS, RESIZED_IMAGES, front_resizes
from aminet_train.model import DeployableModel
from aminet_train.networks import build_network
from aminet_train.networks.heads import Head
from aminet_train.networks.mobilenetv2 import MobileNetV2Config
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig

SIZE_PX = (64, 64)


@pytest.fixture(scope="module")
def model() -> DeployableModel:
    torch.manual_seed(0)
    config = PreprocessingConfig.from_preset("arterial+atlas", size_px=SIZE_PX)
    network = build_network(MobileNetV2Config(head=Head.ATLAS), in_channels=2, size_px=SIZE_PX)
    return DeployableModel(Preprocessing(config), network).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def graph(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas") / "model.onnx"
    export_onnx(trace(model, planes=2), path)
    return convert(path)


@pytest.fixture
def slices() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    hu = torch.rand(1, 1, 170, 150, generator=generator) * 600 - 100
    atlas = torch.randint(0, 15, (1, 1, 170, 150), generator=generator).float()
    return torch.cat([hu, atlas], dim=1)


def test_the_front_resizes_images_and_atlas_as_training_does(model, graph, slices):
    shown = network_input(graph, tuple(slices.shape))(slices.numpy())
    wanted = model.preprocessing.views(slices).numpy()
    assert [node.get_friendly_name() for node in front_resizes(graph)] == [
        RESIZED_IMAGES,
        RESIZED_ATLAS,
    ]
    np.testing.assert_allclose(shown[:, 0], wanted[:, 0], atol=1e-6)  # order of float32 sums
    np.testing.assert_allclose(shown[:, 1] * 255, wanted[:, 1] * 255, atol=1e-4)


def test_the_graph_answers_as_torch_does(model, graph, slices):
    import openvino as ov  # noqa: PLC0415 - slow to import

    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    probabilities, evidence = compiled([slices.numpy()]).values()
    wanted, shown = model(slices)
    np.testing.assert_allclose(probabilities, wanted.numpy(), atol=1e-5)  # order of float sums
    np.testing.assert_allclose(evidence, shown.numpy(), atol=1e-5)
