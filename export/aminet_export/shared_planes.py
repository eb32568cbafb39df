# SPDX-License-Identifier: Apache-2.0
"""Channels with several windows: at the door of the graph, a plane goes to each of its windows.

The cache keeps what each window shows of a slice, and no single HU says all of that. So an export
works on a graph whose every view has a plane of its own, which can be shown cached slices; what
ships takes each plane once, and hands copies of it on. Copies round nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
from openvino import opset13 as ops

from aminet_export.onnx_graph import INPUT
from aminet_runtime.publish import write_whole

PLANES_AXIS = 1  # of [N, C, H, W]
_COPIES, _PLACES = "planes_of_views", "plane_of_each_view"


def share_planes_in_ir(model: ov.Model, plane_of_view: Sequence[int]) -> None:
    """Let a network take each plane once.

    Args:
        model: Takes a plane for each view; it is changed.
        plane_of_view: For each plane that it takes now, the one that it is a copy of.
    """
    apart = model.get_parameters()[0]
    shape = apart.get_partial_shape()
    shape[PLANES_AXIS] = max(plane_of_view) + 1
    shared = ops.parameter(shape, np.float32, name=apart.get_friendly_name())
    apart.set_friendly_name(f"{apart.get_friendly_name()}.apart")
    places = ops.constant(np.array(plane_of_view, np.int64))
    copies = ops.gather(shared, places, ops.constant(np.int64(PLANES_AXIS)))
    copies.set_friendly_name(_COPIES)
    for port in apart.output(0).get_target_inputs():
        port.replace_source_output(copies.output(0))
    model.add_parameters([shared])
    model.remove_parameter(apart)
    model.validate_nodes_and_infer_types()
    model.inputs[0].get_tensor().set_names({INPUT})


def share_planes_in_onnx(path: Path, plane_of_view: Sequence[int]) -> None:
    """Let the network of an ONNX file take each plane once; see `share_planes_in_ir`."""
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == INPUT:
                node.input[place] = _COPIES
    places = np.array(plane_of_view, np.int64)
    graph.initializer.append(onnx.numpy_helper.from_array(places, _PLACES))
    gather = onnx.helper.make_node(
        "Gather", [INPUT, _PLACES], [_COPIES], name=_COPIES, axis=PLANES_AXIS
    )
    graph.node.insert(0, gather)
    graph.input[0].type.tensor_type.shape.dim[PLANES_AXIS].dim_value = max(plane_of_view) + 1
    onnx.checker.check_model(model, full_check=True)
    write_whole(path, model.SerializeToString(deterministic=True))
