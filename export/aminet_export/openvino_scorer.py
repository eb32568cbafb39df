# SPDX-License-Identifier: Apache-2.0
"""Slices through OpenVINO as the runtime runs it, on all cores; nothing heavy is imported here.

The process that a sweep starts for each instruction set imports this module and no torch.
"""

from collections.abc import Callable, Iterable

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from aminet_runtime.engines.openvino_import import shared_core
from aminet_runtime.threads import available_threads

DEVICE = "CPU"
PROBABILITIES = "probabilities"


def openvino_scorer(
    model: ov.Model, shape: tuple[int, int, int, int]
) -> Callable[[Iterable[NDArray[np.float32]]], NDArray[np.float32]]:
    """Score with the runtime's settings: static shape, float32 hint, one thread an inference.

    As many slices are under way as there are cores, each on one of them; the figures are those of
    the runtime on one core.

    Args:
        model: Float or quantised, raw HU in.
        shape: [1, C, H, W] of all slices.
    """
    threads = available_threads()
    compiled = compile_like_runtime(model, shape, threads=threads)
    queue = ov.AsyncInferQueue(compiled, threads)

    def score(slices: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        answers: dict[int, NDArray[np.float32]] = {}

        def keep(request: ov.InferRequest, number: int) -> None:
            answers[number] = request.get_tensor(PROBABILITIES).data[0].copy()

        queue.set_callback(keep)
        for number, part in enumerate(slices):
            queue.start_async([part], number)
        queue.wait_all()
        return np.stack([answers[number] for number in sorted(answers)])

    return score


def compile_like_runtime(
    model: ov.Model, shape: tuple[int, int, int, int], *, threads: int
) -> ov.CompiledModel:
    """Compile for slices of one shape; as many of them can be under way as there are threads."""
    static = model.clone()
    static.reshape(list(shape))
    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    return shared_core().compile_model(static, DEVICE, hints)
