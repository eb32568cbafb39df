# SPDX-License-Identifier: Apache-2.0
"""ONNX to OpenVINO IR, float or quantised, and what is written into it."""

from collections.abc import Iterator
from pathlib import Path

import openvino as ov

from aminet_export.onnx_graph import INPUT, OUTPUTS


def convert(onnx_path: Path) -> ov.Model:
    """Convert a float ONNX file to an OpenVINO model with our tensor names."""
    model = ov.convert_model(onnx_path)
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    return model


def save(model: ov.Model, folder: Path) -> None:
    """Write model.xml and model.bin in float32 (or INT8, where quantised)."""
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)


def annotate(model: ov.Model, values: dict[str, str], *, section: str) -> None:
    """Write key-value pairs into a section of the IR's rt_info."""
    for key, value in values.items():
        model.set_rt_info(value, [section, key])


def preprocessing_nodes(model: ov.Model) -> list[ov.Node]:
    """Return the operations between the input and the first convolution."""
    convolutions = {"Convolution", "GroupConvolution"}
    found: dict[str, ov.Node] = {}
    waiting = list(_consumers(model.inputs[0].node))
    while waiting:
        node = waiting.pop()
        if node.get_type_name() in convolutions or node.get_friendly_name() in found:
            continue
        found[node.get_friendly_name()] = node
        waiting += _consumers(node)
    return list(found.values())


def _consumers(node: ov.Node) -> Iterator[ov.Node]:
    for output in node.outputs():
        for target in output.get_target_inputs():
            yield target.get_node()
