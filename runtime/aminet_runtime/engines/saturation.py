# SPDX-License-Identifier: Apache-2.0
"""A canary: do the INT8 sums of this CPU saturate?

CPUs with VNNI add up the products of 8-bit numbers in 32 bits. Older ones add pairs of products in
16 bits, and 255 x 127 twice is more than those hold. NNCF's default export then answers differently
from one machine to the next; our bundles use half the weights' range, and so never come that far.
The canary is the largest case: a 1 x 1 convolution over 64 channels of 255 with weights of 127.
"""

import numpy as np

from aminet_runtime.engines.openvino_import import import_openvino, shared_core
from aminet_runtime.errors import ModelIncompatible

CHANNELS = 64
LARGEST_U8 = 255
LARGEST_S8 = 127
EXACT_SUM = CHANNELS * LARGEST_U8 * LARGEST_S8  # 2072640; saturating CPUs give 1048544
LEVELS = 256  # of an 8-bit number

CASE_INT8 = 22


def int8_sum() -> int:
    """Let the CPU add up the canary; `EXACT_SUM` unless it saturates. Takes 0.1 s.

    Raises:
        ModelIncompatible: OpenVINO does not load, or cannot run INT8 networks here.
    """
    openvino = import_openvino()
    from openvino import opset13 as ops  # noqa: PLC0415 - after the import above

    low, high = np.float32(0), np.float32(LARGEST_U8)
    pixels = ops.parameter([1, CHANNELS, 4, 4], np.float32)
    quantised = ops.fake_quantize(pixels, low, high, low, high, LEVELS)
    weights = ops.convert(
        ops.constant(np.full((CHANNELS, CHANNELS, 1, 1), LARGEST_S8, np.int8)), np.float32
    )
    scaled = ops.multiply(weights, ops.constant(np.ones((CHANNELS, 1, 1, 1), np.float32)))
    sums = ops.convolution(quantised, scaled, [1, 1], [0, 0], [0, 0], [1, 1])
    model = openvino.Model([sums], [pixels], "canary")
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    try:
        compiled = shared_core().compile_model(model, "CPU", hints)
    except RuntimeError as cause:
        raise ModelIncompatible(
            "OpenVINO cannot run INT8 networks on this CPU",
            case=CASE_INT8,
            hint="use a CPU with AVX2, or a float bundle",
        ) from cause
    answer = compiled(np.full((1, CHANNELS, 4, 4), LARGEST_U8, np.float32))[0]
    return round(float(answer.min()))
