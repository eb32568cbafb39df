# SPDX-License-Identifier: Apache-2.0
"""Slices through OpenVINO as the runtime runs it, on all cores; nothing heavy is imported here.

The process that a sweep starts for each instruction set imports this module and no torch.
"""

from collections.abc import Callable, Iterable

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from aminet_runtime.engines.openvino_cut import FEATURES, SLICES_ALONE, cut, tensor_named
from aminet_runtime.engines.openvino_import import shared_core
from aminet_runtime.threads import available_threads

DEVICE = "CPU"
PROBABILITIES = "probabilities"


def openvino_scorer(
    model: ov.Model, shape: tuple[int, int, int, int]
) -> Callable[[Iterable[NDArray[np.float32]]], NDArray[np.float32]]:
    """Score with the runtime's settings: static shape, float32 hint, one thread an inference.

    As many slices are under way as there are cores, each on one of them; the figures are those of
    the runtime on one core. A graph of two parts is cut as in the runtime: the whole would round
    elsewhere.

    Args:
        model: Float or quantised, raw HU in.
        shape: [1, C, H, W] of all slices.
    """
    slices_alone = tensor_named(model, SLICES_ALONE)
    if slices_alone is not None:
        return _window_scorer(model, shape, slices_alone.get_partial_shape()[1].get_length())
    threads = available_threads()
    compiled = compile_like_runtime(model, shape, threads=threads)
    run = _in_order(compiled, threads, PROBABILITIES)
    return lambda slices: np.stack(run(slices))


def fused_scorer(
    model: ov.Model, shape: tuple[int, int, int, int]
) -> Callable[[Iterable[NDArray[np.float32]], NDArray[np.integer]], NDArray[np.float32]]:
    """Score whole patients with a network that sees each slice alone, and see it once.

    Args:
        model: Float or quantised, raw HU in; it is cut as the runtime does.
        shape: [1, C, H, W] of all slices, without neighbours.

    Returns:
        Maps slices and the numbers [Z, window] of each one's neighbours to probabilities [Z, 15].
    """
    threads = available_threads()
    alone, together = cut(model, channels=shape[1])
    shown = tuple(together.inputs[0].shape)
    look = _in_order(compile_like_runtime(alone, shape, threads=threads), threads, FEATURES)
    answer = _in_order(
        compile_like_runtime(together, shown, threads=threads), threads, PROBABILITIES
    )

    def score(
        slices: Iterable[NDArray[np.float32]], windows: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        features = np.stack(look(slices))
        return np.stack(answer(features[window] for window in windows))

    return score


def _window_scorer(
    model: ov.Model, shape: tuple[int, int, int, int], channels: int
) -> Callable[[Iterable[NDArray[np.float32]]], NDArray[np.float32]]:
    """Score windows of planes with a network that sees each slice alone."""
    _one, planes, height, width = shape
    window = planes // channels
    score = fused_scorer(model, (1, channels, height, width))

    def score_windows(slices: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        answers = []
        for part in slices:
            apart = (np.ascontiguousarray(part[:, place::window]) for place in range(window))
            answers.append(score(apart, np.arange(window)[np.newaxis]))
        return np.concatenate(answers)

    return score_windows


_InOrder = Callable[[Iterable[NDArray[np.float32]]], list[NDArray[np.float32]]]


def _in_order(compiled: ov.CompiledModel, threads: int, output: str) -> _InOrder:
    """Run inputs on all threads, and return the first row of an output of each, in their order."""
    queue = ov.AsyncInferQueue(compiled, threads)

    def run(inputs: Iterable[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        answers: dict[int, NDArray[np.float32]] = {}

        def keep(request: ov.InferRequest, number: int) -> None:
            answers[number] = request.get_tensor(output).data[0].copy()

        queue.set_callback(keep)
        for number, part in enumerate(inputs):
            queue.start_async([part], number)
        queue.wait_all()
        return [answers[number] for number in sorted(answers)]

    return run


def compile_like_runtime(
    model: ov.Model, shape: tuple[int, ...], *, threads: int
) -> ov.CompiledModel:
    """Compile for inputs of one shape; as many of them can be under way as there are threads."""
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
