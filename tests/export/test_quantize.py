# SPDX-License-Identifier: Apache-2.0
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from aminet_export import quantize as quantize_module
from aminet_export.graph_parts import activation_products
from aminet_export.layers import FAKE_QUANTIZE, quantised_layers
from aminet_export.quantize import quantize

CHANNELS = 8
EDGE_PX = 12

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside nncf


def convolution(node: ov.Node, name: str, seed: int) -> ov.Node:
    planes = node.output(0).partial_shape[1].get_length()
    weights = np.random.default_rng(seed).normal(size=(CHANNELS, planes, 3, 3)).astype(np.float32)
    made = ops.convolution(node, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    made.set_friendly_name(name)
    return made


def flat(node: ov.Node) -> ov.Node:
    return ops.reshape(node, ops.constant(np.array([1, CHANNELS, -1])), special_zero=False)


@pytest.fixture
def attention() -> ov.Model:
    """Queries times keys, soft maximum, times values: the last two products have no weights."""
    slices = ops.parameter([1, 1, EDGE_PX, EDGE_PX], np.float32, name="slices")
    stem = ops.relu(convolution(ops.multiply(slices, ops.constant(np.float32(0.1))), "stem", 0))
    queries, keys, values = (convolution(stem, name, seed) for seed, name in enumerate("qkv", 1))
    likeness = ops.matmul(flat(queries), flat(keys), transpose_a=True, transpose_b=False)
    shares = ops.softmax(likeness, axis=-1)
    seen = ops.matmul(flat(values), shares, transpose_a=False, transpose_b=True)
    for node, name in ((likeness, "queries x keys"), (seen, "values x shares")):
        node.set_friendly_name(name)
    shaped = ops.reshape(
        seen, ops.constant(np.array([1, CHANNELS, EDGE_PX, EDGE_PX])), special_zero=False
    )
    return ov.Model([convolution(shaped, "last", 4)], [slices])


def names(nodes: list[ov.Node]) -> set[str]:
    return {node.get_friendly_name() for node in nodes}


def test_finds_products_of_two_activations(attention):
    assert names(activation_products(attention)) == {"queries x keys", "values x shares"}


def test_products_of_two_activations_stay_float(attention, monkeypatch):
    generator = np.random.default_rng(0)
    shape = (1, 1, EDGE_PX, EDGE_PX)
    monkeypatch.setattr(
        quantize_module,
        "calibration_hu",
        lambda _chosen, _preprocessing: generator.normal(size=shape).astype(np.float32),
    )

    quantised = quantize(attention, list(range(4)), None)

    layers = {name.partition("/")[0] for name in quantised_layers(quantised)}
    assert {"q", "k", "v"} <= layers
    products = activation_products(quantised)
    assert len(products) == 2
    for product in products:
        for value in product.input_values():
            node = value.get_node()
            while node.get_type_name() == "Reshape":
                node = node.input_value(0).get_node()
            assert node.get_type_name() != FAKE_QUANTIZE
