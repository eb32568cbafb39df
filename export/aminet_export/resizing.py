# SPDX-License-Identifier: Apache-2.0
"""The resizes in front of the network, as rows and columns that are gathered and mixed.

OpenVINO's Interpolate takes a third of the time that a slice needs: it collects four pixels for
each that comes out, and of several channels it wants the whole slice reordered first. Rows, then
columns, are gathered with half of the steps and in the order in which they lie, and only gathered
rows are windowed, in one pass with their mixing. The places are computed as PyTorch does, in
float32, so that the values are those that training saw. Compiled for one size, as the runtime does,
they are constants; with open sizes OpenVINO rounds them once more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from aminet_export.graph_parts import preprocessing_nodes
from aminet_runtime.errors import InternalError

INTERPOLATE, SLICE, CONSTANT, CLAMP = "Interpolate", "Slice", "Constant", "Clamp"
RESIZED_IMAGES, RESIZED_ATLAS = "resized.images", "resized.atlas"

_RANK, _ROWS_AXIS, _COLUMNS_AXIS = 4, 2, 3  # of [N, C, H, W]
_SLICE_BOUNDS = 4  # start, stop, step, axes
_MODES = {
    ("linear_onnx", "half_pixel"): RESIZED_IMAGES,
    ("nearest", "asymmetric"): RESIZED_ATLAS,
}
"""What `torch.nn.functional.interpolate` becomes: bilinear, and by picking voxels."""
_WITH_CONSTANT = {
    "Add": ops.add,
    "Subtract": ops.subtract,
    "Multiply": ops.multiply,
    "Divide": ops.divide,
}
"""What an HU window is made of, beside the clamp."""


def gather_resizes(model: ov.Model) -> None:
    """Replace the resizes in front of a network, in place; outputs and free sizes stay.

    Where a margin is left out of the resized slice, it is not computed either.

    Raises:
        InternalError: A resize is of another kind than those of our preprocessing, or what is left
            out of it is not told by constants.
    """
    for node in preprocessing_nodes(model):
        if node.get_type_name() == INTERPOLATE:
            _replace(node)
    model.validate_nodes_and_infer_types()


def front_resizes(model: ov.Model) -> list[ov.Node]:
    """Return the last operation of each resize: of the images, and behind it of the atlas."""
    named = {node.get_friendly_name(): node for node in preprocessing_nodes(model)}
    return [named[name] for name in (RESIZED_IMAGES, RESIZED_ATLAS) if name in named]


def _replace(node: ov.Node) -> None:
    name = _kind(node)
    along = _mixed if name == RESIZED_IMAGES else _picked
    values, cuts = node.input_value(0), _cuts_of(node)
    for axis in (_ROWS_AXIS, _COLUMNS_AXIS):
        values = along(values, axis, _kept(node, cuts, axis)).output(0)
    values.get_node().set_friendly_name(name)
    for port in [node, *cuts][-1].output(0).get_target_inputs():
        port.replace_source_output(values)


def _cuts_of(resize: ov.Node) -> list[ov.Node]:
    """Return the operations behind a resize that leave out the margin, if there are some."""
    cuts: list[ov.Node] = []
    while True:
        end = cuts[-1] if cuts else resize
        consumers = [port.get_node() for port in end.output(0).get_target_inputs()]
        if len(consumers) != 1 or consumers[0].get_type_name() != SLICE:
            return cuts
        cuts.append(consumers[0])


class _Places(NamedTuple):
    """Places on a resized axis that are computed.

    Attributes:
        numbers: float32 [n], rising.
        length: Of the whole axis.
    """

    numbers: NDArray[np.float32]
    length: int


def _kept(resize: ov.Node, cuts: Sequence[ov.Node], axis: int) -> _Places:
    """Return which places of the resized axis are left."""
    length = resize.output(0).get_partial_shape()[axis].get_length()
    numbers = np.arange(length, dtype=np.float32)
    for cut in cuts:
        for start, stop, step, along in zip(*_bounds(cut), strict=True):
            numbers = numbers[start:stop:step] if along % _RANK == axis else numbers
    return _Places(numbers, length)


def _bounds(cut: ov.Node) -> list[list[int]]:
    """Return starts, stops, steps and axes of a Slice."""
    bounds = [value.get_node() for value in cut.input_values()[1:]]
    if len(bounds) != _SLICE_BOUNDS or any(one.get_type_name() != CONSTANT for one in bounds):
        raise InternalError("a margin that constants do not tell", hint="please report this")
    return [np.atleast_1d(one.get_data()).tolist() for one in bounds]


def _kind(node: ov.Node) -> str:
    attributes = node.get_attributes()
    mode = str(attributes["mode"]), str(attributes["coordinate_transformation_mode"])
    if mode not in _MODES or attributes["antialias"]:
        raise InternalError(f"a resize of the kind {mode}", hint="please report this")
    return _MODES[mode]


def _mixed(values: ov.Output, axis: int, wanted: _Places) -> ov.Node:
    """Resize along an axis, each value a mean of its two neighbours: bilinear, corners apart."""
    middles = _scaled(values, axis, wanted._replace(numbers=wanted.numbers + np.float32(0.5)))
    places = ops.maximum(ops.subtract(middles, _float(0.5)), _float(0))
    lower = ops.floor(places)
    share = ops.subtract(places, lower)
    if axis == _ROWS_AXIS:
        share = ops.unsqueeze(share, _int(1))
    index = ops.convert(lower, "i64")
    below = _gather(values, axis, index)
    above = _gather(values, axis, ops.add(index, _int(1)))
    return ops.add(below, ops.multiply(ops.subtract(above, below), share))


def _picked(values: ov.Output, axis: int, wanted: _Places) -> ov.Node:
    """Resize along an axis by taking single values."""
    places = _scaled(values, axis, wanted)
    return _gather(values, axis, ops.convert(ops.floor(places), "i64"))


def _scaled(values: ov.Output, axis: int, wanted: _Places) -> ov.Node:
    """Map places on the new axis to places on the old one."""
    scale = ops.divide(ops.convert(_edge(values, axis), "f32"), _float(wanted.length))
    return ops.multiply(ops.constant(wanted.numbers), scale)


def _gather(values: ov.Output, axis: int, index: ov.Node) -> ov.Node:
    """Take some rows or columns, and apply to them what would be applied to all."""
    pixels, window = _before_window(values)
    last = ops.subtract(_edge(values, axis), _int(1))
    taken = ops.gather(pixels, ops.minimum(index, last), _int(axis))
    for node in window:
        taken = _applied(node, taken)
    return taken


def _edge(values: ov.Output, axis: int) -> ov.Node:
    pixels, _window = _before_window(values)
    return ops.gather(ops.shape_of(pixels, "i64"), _int(axis), _int(0))


def _before_window(values: ov.Output) -> tuple[ov.Output, list[ov.Node]]:
    """Return what pointwise operations begin with, and these, the first one first."""
    window: list[ov.Node] = []
    while _is_pointwise(values.get_node()):
        window.insert(0, values.get_node())
        values = values.get_node().input_value(0)
    return values, window


def _is_pointwise(node: ov.Node) -> bool:
    """Whether a node does the same to every pixel of a channel, by constants."""
    if node.get_type_name() == CLAMP:
        return True
    if node.get_type_name() not in _WITH_CONSTANT:
        return False
    constant = node.input_value(1).get_node()
    return constant.get_type_name() == CONSTANT and set(constant.shape[_ROWS_AXIS - _RANK :]) <= {1}


def _applied(node: ov.Node, values: ov.Node) -> ov.Node:
    """Do to other values what a pointwise node does."""
    if node.get_type_name() == CLAMP:
        bounds = node.get_attributes()
        return ops.clamp(values, bounds["min"], bounds["max"])
    return _WITH_CONSTANT[node.get_type_name()](values, node.input_value(1))


def _float(value: float) -> ov.Node:
    return ops.constant(np.float32(value))


def _int(value: int) -> ov.Node:
    return ops.constant(np.int64(value))
