# SPDX-License-Identifier: Apache-2.0
"""The same slices through torch and ONNX Runtime; OpenVINO has a module of its own."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from aminet_export.onnx_graph import INPUT, OUTPUTS
from aminet_runtime.errors import ModelIncompatible
from aminet_train.model import DeployableModel

Slices = Iterable[NDArray[np.float32]]
"""Slices float32 [1, C, H, W] in HU, one after the other; the memory may be used again."""

Scorer = Callable[[Slices], NDArray[np.float32]]
"""Maps n slices to probabilities float32 [n, 15]."""

FusedScorer = Callable[[Slices, NDArray[np.integer]], NDArray[np.float32]]
"""Maps the n slices of a patient and the numbers [n, window] of their neighbours to the same."""


def torch_scorer(model: DeployableModel) -> Scorer:
    """Score in torch, eager, float32."""

    def score(slices: Slices) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.concatenate([model(torch.from_numpy(part))[0].numpy() for part in slices])

    return score


def onnx_scorer(path: Path) -> Scorer:
    """Score in ONNX Runtime on the CPU.

    Raises:
        ModelIncompatible: This version of ONNX Runtime cannot run the file.
    """
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except (onnxruntime_errors.InvalidGraph, onnxruntime_errors.NotImplemented) as cause:
        raise ModelIncompatible(f"ONNX Runtime cannot run it ({cause})", path=path) from cause

    def score(slices: Slices) -> NDArray[np.float32]:
        return np.concatenate([session.run(OUTPUTS[:1], {INPUT: part})[0] for part in slices])

    return score
