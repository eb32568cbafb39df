# SPDX-License-Identifier: Apache-2.0
"""Which operations of a network stand where: in front of it, behind it, between two activations."""

from collections.abc import Iterator

import openvino as ov

from aminet_export.layers import LAYER_TYPES


def preprocessing_nodes(model: ov.Model) -> list[ov.Node]:
    """Return the operations between the input and the first convolution."""
    return _below(model.inputs[0].node, until=frozenset({"Convolution", "GroupConvolution"}))


def answer_nodes(model: ov.Model) -> list[ov.Node]:
    """Return the operations between the last layers and the outputs: pooling and sigmoid."""
    found: dict[str, ov.Node] = {}
    waiting = [_producer(result) for result in model.get_results()]
    while waiting:
        node = waiting.pop()
        if _is_layer(node) or node.get_friendly_name() in found or not node.inputs():
            continue
        found[node.get_friendly_name()] = node
        waiting += [value.get_node() for value in node.input_values()]
    return list(found.values())


def activation_products(model: ov.Model) -> list[ov.Node]:
    """Return the matrix products of two computed values, such as queries and keys of attention."""
    computed = {node.get_friendly_name() for node in _below(model.inputs[0].node)}
    return [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul"
        and all(value.get_node().get_friendly_name() in computed for value in node.input_values())
    ]


def _below(node: ov.Node, *, until: frozenset[str] = frozenset()) -> list[ov.Node]:
    """Return what is computed from a node, up to operations of some types."""
    found: dict[str, ov.Node] = {}
    waiting = list(_consumers(node))
    while waiting:
        below = waiting.pop()
        if below.get_type_name() in until or below.get_friendly_name() in found:
            continue
        found[below.get_friendly_name()] = below
        waiting += _consumers(below)
    return list(found.values())


def _is_layer(node: ov.Node) -> bool:
    """Whether it is a layer, or the bias of one."""
    layer = _producer(node) if node.get_type_name() == "Add" else node
    return layer.get_type_name() in LAYER_TYPES


def _producer(node: ov.Node) -> ov.Node:
    return node.input_value(0).get_node()


def _consumers(node: ov.Node) -> Iterator[ov.Node]:
    for output in node.outputs():
        for target in output.get_target_inputs():
            yield target.get_node()
