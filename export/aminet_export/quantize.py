# SPDX-License-Identifier: Apache-2.0
"""INT8 with NNCF, such that all CPUs agree and preprocessing stays float."""

import logging
from collections.abc import Iterable

import nncf
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from aminet_export.openvino_ir import preprocessing_nodes
from aminet_runtime.errors import InternalError

FAKE_QUANTIZE = "FakeQuantize"


def quantize(
    model: ov.Model, calibration: Iterable[NDArray[np.float32]], *, count: int
) -> ov.Model:
    """Quantise weights and activations to INT8.

    The overflow fix halves the weights' range, so that a u8 x s8 sum cannot saturate on CPUs
    without VNNI: with it, AVX2 and VNNI machines agree. Window and resize are kept out, since a
    quantised resize makes CPUs differ.

    Args:
        model: Float model, raw HU in.
        calibration: Slices float32 [1, C, H, W] in HU.
        count: How many there are.

    Raises:
        InternalError: A quantiser stands in front of the resize in spite of all.
    """
    nncf.set_log_level(logging.ERROR)
    names = [node.get_friendly_name() for node in preprocessing_nodes(model)]
    quantised = nncf.quantize(
        model,
        nncf.Dataset(list(calibration)),
        subset_size=count,
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=names),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE
        ),
    )
    assert_float_preprocessing(quantised)
    return quantised


def assert_float_preprocessing(model: ov.Model) -> None:
    """Raise InternalError if window or resize compute on quantised values."""
    resizes = [n for n in model.get_ordered_ops() if n.get_type_name() == "Interpolate"]
    for resize in resizes[:1]:
        if FAKE_QUANTIZE in _types_above(resize):
            raise InternalError("the resize is quantised", hint="please report this")


def _types_above(node: ov.Node) -> set[str]:
    types: set[str] = set()
    waiting = [node]
    while waiting:
        for value in waiting.pop().input_values():
            types.add(value.get_node().get_type_name())
            waiting.append(value.get_node())
    return types
