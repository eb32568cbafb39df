# SPDX-License-Identifier: Apache-2.0
"""INT8 for hosts with ONNX Runtime: quantisers in the ONNX graph (QDQ), weights per channel.

NNCF's INT8 graph has a zero point per channel at depthwise layers, which ONNX Runtime refuses, so
this file is quantised by ONNX Runtime's own tool, on the same slices. `reduce_range` is the
overflow fix under another name: 7-bit weights cannot saturate a sum on CPUs without VNNI.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from aminet_export.calibration import CalibrationSlice, calibration_hu
from aminet_export.onnx_graph import INPUT
from aminet_train.preprocessing import Preprocessing

ONNX_INT8_FILE = "model-int8.onnx"
SLICES = 100
"""The first of the draw, which are spread like all of it: 300 took 20 s of CPU instead of 8, and
brought the network no nearer to float (ranges from the smallest to the largest value only grow)."""

PRODUCT = "MatMul"
QUANTISED_TYPES = ["Conv", PRODUCT, "Gemm"]


def quantize_onnx(
    source: Path,
    target: Path,
    calibration: Sequence[CalibrationSlice],
    preprocessing: Preprocessing,
    *,
    float_layers: Sequence[str] = (),
) -> None:
    """Write an INT8 twin of a float ONNX file.

    Args:
        source: The float file.
        target: Where to.
        calibration: The slices that calibrated the OpenVINO network; the first hundred are used.
        preprocessing: Of the checkpoint.
        float_layers: Layers of the IR that accuracy control put back to float.
    """
    graph = onnx.load(source, load_external_data=False).graph
    with _without_advice():
        quantize_static(
            source,
            target,
            _Reader(calibration[:SLICES], preprocessing),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED_TYPES,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*_float_nodes(graph), *(_in_onnx(name) for name in float_layers)],
            calibrate_method=CalibrationMethod.MinMax,
        )


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Hands slices to ONNX Runtime one at a time."""

    def __init__(
        self, calibration: Sequence[CalibrationSlice], preprocessing: Preprocessing
    ) -> None:
        self._slices = (calibration_hu(chosen, preprocessing) for chosen in calibration)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next slice, or None after the last."""
        slices_hu = next(self._slices, None)
        return None if slices_hu is None else {INPUT: slices_hu}


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep the tool from advising, through the root logger, to fold what we have folded."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _in_onnx(layer: str) -> str:
    """Return the node of a layer of the IR: OpenVINO splits bias from convolution."""
    return layer.removesuffix("/WithoutBiases")


def _float_nodes(graph: onnx.GraphProto) -> list[str]:
    """Name what stands before the first layer, and what computes on weights alone or without any.

    A product of two activations has no weights of 7 bits, so that its sums might saturate. A weight
    that is also a factor of another weight (the evidence of the simple CNN) would get scales along
    two axes, at which ONNX Runtime's tool stumbles.
    """
    nodes = list(graph.node)
    layers = [node.op_type in QUANTISED_TYPES for node in nodes]
    weights = {tensor.name for tensor in graph.initializer}
    before = nodes[: layers.index(True)] if True in layers else nodes
    constant = [node for node in nodes if weights.issuperset(node.input)]
    products = [
        node for node in nodes if node.op_type == PRODUCT and weights.isdisjoint(node.input)
    ]
    return [node.name for node in (*before, *constant, *products)]
