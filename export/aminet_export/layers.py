# SPDX-License-Identifier: Apache-2.0
"""Single layers of a quantised network: which of them make the error, and back to float with them.

A layer is put back by taking away the quantisers in front of it and giving it the weights and the
bias of the float network, which holds a layer of the same name. Public OpenVINO calls only.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

FAKE_QUANTIZE = "FakeQuantize"
LAYER_TYPES = frozenset({"Convolution", "GroupConvolution", "MatMul"})

Probabilities = Callable[[ov.Model], NDArray[np.float32]]
"""Runs a network on some fixed slices of training patients: float32 [n, 15]."""


@dataclass(frozen=True, slots=True)
class LayerGain:
    """What it would bring to put one layer back to float.

    Attributes:
        name: Of the layer.
        error_left: Mean difference to the float network in log-odds with this layer in float.
    """

    name: str
    error_left: float


def quantised_layers(model: ov.Model) -> list[str]:
    """Name the layers that compute on quantised values, in the order of the graph."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in LAYER_TYPES and _is_quantised(node)
    ]


def rank_layers(
    quantised: ov.Model,
    reference: ov.Model,
    probabilities: Probabilities,
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[LayerGain]:
    """Order the quantised layers by how near the network comes to float without them.

    NNCF corrects the biases of each layer for the errors of those before it. A layer that is put
    back leaves such corrections without a cause, so here all biases are those of the float network.

    Args:
        quantised: The INT8 network.
        reference: The float network that it was made of.
        probabilities: Runs a network on some slices of training patients.
        on_progress: Called with layers done and their number.
    """
    wanted = _log_odds(probabilities(reference))
    names = quantised_layers(quantised)
    uncorrected = _without_bias_correction(quantised, reference, names)
    gains = []
    for done, name in enumerate(names, start=1):
        without = _log_odds(probabilities(revert_layers(uncorrected, reference, [name])))
        gains.append(LayerGain(name, float(np.abs(without - wanted).mean())))
        on_progress(done, len(names))
    return sorted(gains, key=lambda gain: gain.error_left)


def revert_layers(quantised: ov.Model, reference: ov.Model, names: Iterable[str]) -> ov.Model:
    """Return a copy of a quantised network with some layers back in float.

    Args:
        quantised: The INT8 network; it stays as it is.
        reference: The float network that it was made of.
        names: Layers to put back.
    """
    copy = quantised.clone()
    layers, originals = _by_name(copy), _by_name(reference)
    for name in names:
        _restore_inputs(layers[name], originals[name])
        _restore_bias(layers[name], originals[name])
    copy.validate_nodes_and_infer_types()
    return copy


def _without_bias_correction(
    quantised: ov.Model, reference: ov.Model, names: Iterable[str]
) -> ov.Model:
    copy = quantised.clone()
    layers, originals = _by_name(copy), _by_name(reference)
    for name in names:
        _restore_bias(layers[name], originals[name])
    return copy


def _is_quantised(node: ov.Node) -> bool:
    """Whether a quantiser stands before the layer, or its weights are stored in 8 bits.

    The quantiser may stand further up, before a pooling or a reshape that hands 8 bits on.
    """
    producers = [value.get_node() for value in node.input_values()]
    return any(p.get_type_name() == FAKE_QUANTIZE or _is_unpacked(p) for p in producers)


def _is_unpacked(node: ov.Node) -> bool:
    """Whether a node only scales a constant of 8 bits."""
    while node.get_type_name() in _UNPACKING:
        node = node.input_value(0).get_node()
    return node.get_type_name() == "Constant" and node.get_element_type() in _EIGHT_BITS


_UNPACKING = frozenset({"Multiply", "Subtract", "Convert", "Reshape"})
_EIGHT_BITS = (ov.Type.i8, ov.Type.u8)


def _by_name(model: ov.Model) -> dict[str, ov.Node]:
    return {node.get_friendly_name(): node for node in model.get_ordered_ops()}


def _restore_inputs(layer: ov.Node, original: ov.Node) -> None:
    for port, value in zip(layer.inputs(), original.input_values(), strict=True):
        producer = port.get_source_output().get_node()
        if producer.get_type_name() == FAKE_QUANTIZE:
            port.replace_source_output(producer.input_value(0))
        elif value.get_node().get_type_name() == "Constant":
            port.replace_source_output(_copied(value.get_node()).output(0))


def _restore_bias(layer: ov.Node, original: ov.Node) -> None:
    """Take back the bias correction, which made up for the errors of this layer and before it."""
    added, once = _constant_added_to(layer), _constant_added_to(original)
    if added is not None and once is not None:
        added.replace_source_output(_copied(once.get_source_output().get_node()).output(0))


def _constant_added_to(layer: ov.Node) -> "ov.Input | None":
    for target in layer.output(0).get_target_inputs():
        if target.get_node().get_type_name() == "Add":
            for port in target.get_node().inputs():
                if port.get_source_output().get_node().get_type_name() == "Constant":
                    return port
    return None


def _copied(constant: ov.Node) -> ov.Node:
    return ops.constant(np.array(constant.get_data()))


def _log_odds(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Differences near 0 and 1 count as they would in the middle."""
    clipped = np.clip(probabilities.astype(np.float64), _CLEAR_OF_BOUNDS, 1 - _CLEAR_OF_BOUNDS)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds


_CLEAR_OF_BOUNDS = 1e-6
