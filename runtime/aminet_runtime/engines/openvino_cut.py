# SPDX-License-Identifier: Apache-2.0
"""Networks that see each slice alone and then compare what they saw: one graph, cut in two.

The graph answers for a window of planes as any other does. Two tensors in it bear names
(docs/bundle.md): `slices_alone`, the slices of the windows one after the other, and `features`,
what was seen of each. Cut there, each slice of a volume is seen once, and not once for each window
that it lies in.
"""

from typing import TYPE_CHECKING, NamedTuple

from aminet_runtime.engines.engine import INPUT

if TYPE_CHECKING:
    import openvino

SLICES_ALONE, FEATURES = "slices_alone", "features"
_CUT_RANKS = {SLICES_ALONE: 4, FEATURES: 2}


class Parts(NamedTuple):
    """The two parts of a network.

    Attributes:
        alone: `slices` float32 [N, C, H, W] to `features` [N, L].
        together: `features` float32 [window, L], low to high and of this fixed shape, to
            `probabilities` [1, 15] and `evidence` [1, 15, h, w].
    """

    alone: "openvino.Model"
    together: "openvino.Model"


def has_cut(model: "openvino.Model") -> bool:
    """Tell whether a graph bears either of the names that it may be cut at."""
    outputs = (output for node in model.get_ordered_ops() for output in node.outputs())
    return any(not output.get_names().isdisjoint(_CUT_RANKS) for output in outputs)


def cut(model: "openvino.Model", *, channels: int) -> Parts:
    """Cut a graph in two, which leaves it as it is.

    Args:
        model: The whole, with any sizes.
        channels: C of one slice.

    Raises:
        ValueError: One of the two tensors is not there, or is not what the names promise, or a
            window is one slice.
    """
    window = model.inputs[0].get_partial_shape()[1].get_length() // channels
    if window == 1:
        raise ValueError("a window of 1 has no neighbours whose features could be compared")
    for name, rank in _CUT_RANKS.items():
        tensor = tensor_named(model, name)
        shape = None if tensor is None else tensor.get_partial_shape()
        if shape is None or shape.rank.is_dynamic or len(shape) != rank or shape[1].is_dynamic:
            raise ValueError(f"no tensor {name} of {rank} dimensions, the second one fixed")
        if name == SLICES_ALONE and shape[1].get_length() != channels:
            raise ValueError(f"{name} has {shape[1].get_length()} channels, not {channels}")
    return Parts(_above(model.clone()), _below(model.clone(), window))


def _above(model: "openvino.Model") -> "openvino.Model":
    """Return what leads from single slices to their features."""
    import openvino  # noqa: PLC0415 - whoever holds a model has imported it with its telemetry off

    slices = _open(model, SLICES_ALONE)
    features = tensor_named(model, FEATURES)
    part = openvino.Model([features], [slices], "alone")
    part.inputs[0].get_tensor().set_names({INPUT})
    return part


def _below(model: "openvino.Model", window: int) -> "openvino.Model":
    """Return what leads from features to the answer."""
    import openvino  # noqa: PLC0415 - as above

    features = _open(model, FEATURES)
    part = openvino.Model(model.get_results(), [features], "together")
    part.inputs[0].get_tensor().set_names({FEATURES})
    part.reshape([window, part.inputs[0].get_partial_shape()[1]])
    return part


def _open(model: "openvino.Model", name: str) -> "openvino.op.Parameter":
    """Let what is computed from a tensor be computed from an input in its place."""
    import openvino  # noqa: PLC0415 - as above

    tensor = tensor_named(model, name)
    assert tensor is not None  # noqa: S101 - see `cut`
    shape = openvino.PartialShape([-1] * len(tensor.get_partial_shape()))
    shape[1] = tensor.get_partial_shape()[1]
    given = openvino.op.Parameter(tensor.get_element_type(), shape)
    for port in tensor.get_target_inputs():
        port.replace_source_output(given.output(0))
    return given


def tensor_named(model: "openvino.Model", name: str) -> "openvino.Output | None":
    """Find a tensor of a graph by its name."""
    outputs = (output for node in model.get_ordered_ops() for output in node.outputs())
    return next((output for output in outputs if name in output.get_names()), None)
