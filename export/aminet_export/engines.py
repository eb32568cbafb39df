# SPDX-License-Identifier: Apache-2.0
"""The same slices through torch, ONNX Runtime and OpenVINO."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import openvino as ov
import torch
from numpy.typing import NDArray

from aminet_runtime.engines.openvino_import import shared_core
from aminet_train.model import DeployableModel

Scorer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Maps slices float32 [1, C, H, W] in HU to probabilities float32 [15]."""


def torch_scorer(model: DeployableModel) -> Scorer:
    """Score in torch, eager, float32."""

    def score(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            probabilities: NDArray[np.float32] = model(torch.from_numpy(slices))[0][0].numpy()
        return probabilities

    return score


def onnx_scorer(path: Path) -> Scorer:
    """Score in ONNX Runtime on the CPU."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def score(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = session.run(["probabilities"], {"slices": slices})[0][
            0
        ]
        return probabilities

    return score


def openvino_scorer(model: ov.Model, shape: tuple[int, int, int, int]) -> Scorer:
    """Score in OpenVINO with the runtime's own settings: static shape, float32 hint, one stream."""
    static = model.clone()
    static.reshape(list(shape))
    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    request = shared_core().compile_model(static, "CPU", hints).create_infer_request()

    def score(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        result = request.infer([slices], share_inputs=True)
        return np.array(result["probabilities"][0])

    return score
