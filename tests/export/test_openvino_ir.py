# SPDX-License-Identifier: Apache-2.0
import numpy as np
import openvino as ov
from openvino import opset13 as ops

from aminet_export.openvino_ir import name_alike


def model() -> ov.Model:
    slices = ops.parameter([1, 3], np.float32, name="slices")
    return ov.Model([ops.multiply(slices, ops.constant(np.ones((1, 3), np.float32)))], [slices])


def names(made: ov.Model) -> list[str]:
    return [node.get_friendly_name() for node in made.get_ordered_ops()]


def test_two_models_of_one_process_get_the_same_names():
    first, second = model(), model()
    assert names(first) != names(second)

    name_alike(first)
    name_alike(second)

    assert names(first) == names(second)
    assert "slices" in names(first)


def test_nodes_that_come_later_get_names_of_their_own():
    made = model()
    name_alike(made)
    before = names(made)
    port = made.output(0).get_node().input(0)
    doubled = ops.multiply(port.get_source_output(), ops.constant(np.float32(2)))
    port.replace_source_output(doubled.output(0))

    name_alike(made)

    assert set(before) <= set(names(made))
    assert len(set(names(made))) == len(names(made))
