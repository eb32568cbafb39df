# SPDX-License-Identifier: Apache-2.0
"""INT8 with NNCF, such that all CPUs agree and preprocessing stays float."""

import contextlib
import io
import logging
from collections.abc import Sequence

import nncf
import openvino as ov

from aminet_export.calibration import CalibrationSlice, calibration_hu
from aminet_export.graph_parts import activation_products, answer_nodes, preprocessing_nodes
from aminet_export.late_fusion import with_other_part
from aminet_export.layers import FAKE_QUANTIZE, quantised_layers
from aminet_export.resizing import front_resizes
from aminet_runtime.engines.openvino_cut import cut, has_cut
from aminet_runtime.errors import InternalError, UsageError
from aminet_train.preprocessing import Preprocessing

ATTENTION = "Softmax"
CASE_NOTHING_TO_QUANTISE = 20


def quantize(
    model: ov.Model,
    calibration: Sequence[CalibrationSlice],
    preprocessing: Preprocessing,
    *,
    float_layers: Sequence[str] = (),
) -> ov.Model:
    """Quantise weights and activations to INT8.

    The overflow fix halves the weights' range, so that a u8 x s8 sum cannot saturate on CPUs
    without VNNI: with it, AVX2 and VNNI machines agree. It does nothing for products of two
    activations, which have no weights and made CPUs differ: those of attention stay float. Window
    and resize are kept out for the same reason; and so is the pooling of the answer, which NNCF
    would round to an eighth of a log-odds or worse. Where slices are seen alone, what compares them
    stays float: it is small.

    Args:
        model: Float model, raw HU in.
        calibration: Slices of training patients; read one at a time, as often as NNCF asks.
        preprocessing: Of the checkpoint, to turn the cache back into HU.
        float_layers: Layers that stay in float.

    Raises:
        UsageError: The network has no layers that could be quantised.
        InputDamaged: A slice holds values that are not finite.
        InternalError: A quantiser stands in front of the resize in spite of all.
    """
    if not has_cut(model):
        return _quantize(model, calibration, preprocessing, float_layers)
    alone = cut(model, channels=len(preprocessing.config.channels)).alone
    without_neighbours = Preprocessing(preprocessing.config)
    return with_other_part(model, _quantize(alone, calibration, without_neighbours, float_layers))


def _quantize(
    model: ov.Model,
    calibration: Sequence[CalibrationSlice],
    preprocessing: Preprocessing,
    float_layers: Sequence[str],
) -> ov.Model:
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # where NNCF draws its bars
        quantised = nncf.quantize(
            model,
            nncf.Dataset(calibration, lambda chosen: calibration_hu(chosen, preprocessing)),
            subset_size=len(calibration),
            model_type=nncf.ModelType.TRANSFORMER if _has_attention(model) else None,
            fast_bias_correction=False,
            ignored_scope=nncf.IgnoredScope(names=[*_float_nodes(model), *float_layers]),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
    if not quantised_layers(quantised):
        raise UsageError(
            "the network has no layers to quantise",
            case=CASE_NOTHING_TO_QUANTISE,
            hint="export it with --precision fp32",
        )
    assert_float_preprocessing(quantised)
    return quantised


def assert_float_preprocessing(model: ov.Model) -> None:
    """Raise InternalError if window or resize compute on quantised values."""
    if any(FAKE_QUANTIZE in _types_above(resize) for resize in front_resizes(model)):
        raise InternalError("the resize is quantised", hint="please report this")


def _float_nodes(model: ov.Model) -> list[str]:
    """Name what is never quantised, sorted: NNCF notes the names, and OpenVINO has no order."""
    nodes = [*preprocessing_nodes(model), *activation_products(model), *answer_nodes(model)]
    return sorted({node.get_friendly_name() for node in nodes})


def _has_attention(model: ov.Model) -> bool:
    return any(node.get_type_name() == ATTENTION for node in model.get_ordered_ops())


def _types_above(node: ov.Node) -> set[str]:
    types: set[str] = set()
    waiting = [node]
    while waiting:
        for value in waiting.pop().input_values():
            types.add(value.get_node().get_type_name())
            waiting.append(value.get_node())
    return types
