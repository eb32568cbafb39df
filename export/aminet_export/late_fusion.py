# SPDX-License-Identifier: Apache-2.0
"""Networks that look at each slice alone: two parts in one graph, with names where they meet.

The graph answers for a window of planes as any other does. In it, `slices_alone` are the slices of
all windows, [slices x N, C, H, W], and `features` what was seen of each, [slices x N, L]: a host
may cut there, see each slice once and keep its features (docs/bundle.md).
"""

import numpy as np
import onnx
import openvino as ov
from onnx import TensorProto, compose, helper, numpy_helper

from aminet_runtime.engines.openvino_cut import FEATURES, SLICES_ALONE, tensor_named

_WINDOWS = "windows"
_PLANES_AXIS, _LENGTH_AXIS = 1, 2  # of [N, C, H, W], and of [N, slices, L]
_FREE = None


def join(
    alone: onnx.ModelProto, together: onnx.ModelProto, *, slices: int, planes: str
) -> onnx.ModelProto:
    """Make one ONNX model of the two parts.

    Args:
        alone: `slices_alone` to `features`.
        together: Features [N, slices, L] to answers.
        slices: In a window.
        planes: Name of the whole's input, [N, C x slices, H, W]: for each channel the slices of the
            window, low to high.
    """
    channels = _dimension(alone, _PLANES_AXIS)
    length = _dimension(together, _LENGTH_AXIS)
    apart = _like(alone, _take_apart(planes, channels=channels, slices=slices))
    windows = _like(alone, _put_together(slices=slices, length=length))
    first = compose.add_prefix(alone, "alone/", rename_inputs=False, rename_outputs=False)
    second = compose.add_prefix(together, "together/", rename_outputs=False)
    seen = compose.merge_models(apart, first, [(SLICES_ALONE, SLICES_ALONE)])
    compared = compose.merge_models(seen, windows, [(FEATURES, FEATURES)])
    whole = compose.merge_models(compared, second, [(_WINDOWS, second.graph.input[0].name)])
    return helper.make_model(
        whole.graph, ir_version=alone.ir_version, opset_imports=list(alone.opset_import)
    )


def with_other_part(model: ov.Model, alone: ov.Model) -> ov.Model:
    """Return a graph whose slices are seen by another network.

    Args:
        model: Of two parts; it stays as it is.
        alone: Slices to features, such as `cut` gave and a quantiser changed; it is used up.

    Raises:
        ValueError: The graph has no two parts.
    """
    whole = model.clone()
    slices, features = (tensor_named(whole, name) for name in (SLICES_ALONE, FEATURES))
    if slices is None or features is None:
        raise ValueError("the graph has no two parts")
    consumers = features.get_target_inputs()
    for port in alone.get_parameters()[0].output(0).get_target_inputs():
        port.replace_source_output(slices)
    seen = alone.get_results()[0].input_value(0)
    seen.get_tensor().set_names({FEATURES})
    for port in consumers:
        port.replace_source_output(seen)
    joined = ov.Model(whole.get_results(), whole.get_parameters(), whole.get_friendly_name())
    joined.validate_nodes_and_infer_types()
    return joined


def _take_apart(planes: str, *, channels: int, slices: int) -> onnx.GraphProto:
    """Turn planes [N, C x slices, H, W] into slices [slices x N, C, H, W]."""
    names = [f"{SLICES_ALONE}.{place}" for place in range(slices)]
    tables = [
        numpy_helper.from_array(np.arange(channels, dtype=np.int64) * slices + place, f"{name}.of")
        for place, name in enumerate(names)
    ]
    gathered = [
        helper.make_node("Gather", [planes, f"{name}.of"], [name], name=name, axis=_PLANES_AXIS)
        for name in names
    ]
    stacked = helper.make_node("Concat", names, [SLICES_ALONE], name=SLICES_ALONE, axis=0)
    return helper.make_graph(
        [*gathered, stacked],
        "take apart",
        [_tensor(planes, ["N", channels * slices, "H", "W"])],
        [_tensor(SLICES_ALONE, [_FREE, channels, "H", "W"])],
        tables,
    )


def _put_together(*, slices: int, length: int) -> onnx.GraphProto:
    """Turn features [slices x N, L] into those of windows, [N, slices, L]."""
    shape = numpy_helper.from_array(np.array([slices, -1, length]), f"{_WINDOWS}.shape")
    by_place = f"{_WINDOWS}.by_place"
    return helper.make_graph(
        [
            helper.make_node("Reshape", [FEATURES, shape.name], [by_place], name=by_place),
            helper.make_node("Transpose", [by_place], [_WINDOWS], name=_WINDOWS, perm=[1, 0, 2]),
        ],
        "put together",
        [_tensor(FEATURES, [_FREE, length])],
        [_tensor(_WINDOWS, ["N", slices, length])],
        [shape],
    )


def _tensor(name: str, shape: list[str | int | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _like(model: onnx.ModelProto, graph: onnx.GraphProto) -> onnx.ModelProto:
    """Make a model of a graph that can be merged with another one."""
    return helper.make_model(
        graph, ir_version=model.ir_version, opset_imports=list(model.opset_import)
    )


def _dimension(model: onnx.ModelProto, axis: int) -> int:
    """Return a dimension of a model's input."""
    shape = model.graph.input[0].type.tensor_type.shape
    return int(shape.dim[axis].dim_value)
