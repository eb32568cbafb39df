# SPDX-License-Identifier: Apache-2.0
"""torch to one float ONNX file: raw HU in, probabilities and evidence out."""

import copy
from pathlib import Path
from typing import NamedTuple

import onnx
import torch
from onnx.checker import ValidationError
from torch import nn

from aminet_export.late_fusion import join
from aminet_runtime.engines.openvino_cut import FEATURES, SLICES_ALONE
from aminet_runtime.errors import ModelInvalid
from aminet_runtime.publish import write_whole
from aminet_train.model import DeployableModel, LateFusionModel

ONNX_FILE = "model.onnx"
OPSET = 20
INPUT = "slices"
OUTPUTS = ("probabilities", "evidence")
PRODUCER = "aminet"

_TRACED_BATCH = 2  # a batch of one would be taken for a constant
_TRACED_EDGE_PX = 256  # any size that is not the network's own, or the resize would vanish
_SMALLEST_EDGE_PX = 32  # a map of one cell would be taken for a constant, too


class Traced(NamedTuple):
    """What a model computes, recorded.

    Attributes:
        model: The whole, or what a model with late fusion sees of slices alone.
        together: What that makes of the features of a window; else None.
        slices: In a window of late fusion; else 1.
    """

    model: torch.export.ExportedProgram
    together: torch.export.ExportedProgram | None = None
    slices: int = 1

    @property
    def node_count(self) -> int:
        """Number of operations."""
        return sum(len(part.graph.nodes) for part in (self.model, self.together) if part)


def trace(model: DeployableModel, *, planes: int) -> Traced:
    """Record what a model computes, with N, H and W left open.

    Args:
        model: In eval mode.
        planes: C of the input.
    """
    if not isinstance(model, LateFusionModel):
        return Traced(_trace_slices(model, planes=planes))
    alone = _trace_slices(model.alone, planes=planes // model.slices)
    features = torch.zeros(_TRACED_BATCH, model.slices, model.together.layout.length)
    dynamic = {FEATURES: {0: torch.export.Dim("N")}}
    with torch.no_grad():
        together = torch.export.export(model.together, (features,), dynamic_shapes=dynamic)
    return Traced(alone, together, model.slices)


def _trace_slices(model: nn.Module, *, planes: int) -> torch.export.ExportedProgram:
    example = torch.zeros(_TRACED_BATCH, planes, _TRACED_EDGE_PX, _TRACED_EDGE_PX + 32)
    height, width = (torch.export.Dim(name, min=_SMALLEST_EDGE_PX) for name in ("H", "W"))
    dynamic = {INPUT: {0: torch.export.Dim("N"), 2: height, 3: width}}
    traced = copy.deepcopy(model)
    with torch.no_grad():
        traced(example)  # EfficientFormerV2 now has its attention biases in its cache, not a trace
        return torch.export.export(traced, (example,), dynamic_shapes=dynamic)


def export_onnx(traced: Traced, path: Path) -> None:
    """Write a traced model as one ONNX file without external data."""
    if traced.together is None:
        model = _to_onnx(traced.model, INPUT, OUTPUTS)
    else:
        alone = _to_onnx(traced.model, SLICES_ALONE, (FEATURES,))
        together = _to_onnx(traced.together, FEATURES, OUTPUTS)
        model = join(alone, together, slices=traced.slices, planes=INPUT)
    _forget_origin(model)
    write_whole(path, model.SerializeToString(deterministic=True))


def _to_onnx(
    program: torch.export.ExportedProgram, given: str, wanted: tuple[str, ...]
) -> onnx.ModelProto:
    exported = torch.onnx.export(
        program,
        dynamo=True,
        external_data=False,
        opset_version=OPSET,
        input_names=[given],
        output_names=list(wanted),
        verbose=False,
    )
    if exported is None:
        raise ModelInvalid("torch made no ONNX of the network")
    return exported.model_proto


def check_onnx(path: Path) -> None:
    """Check the file against the ONNX specification and our contract.

    Raises:
        ModelInvalid: It does not hold; the message names what differs.
    """
    try:
        onnx.checker.check_model(path, full_check=True)
    except ValidationError as cause:
        raise ModelInvalid(f"not valid ONNX: {cause}", path=path) from cause
    model = onnx.load(path, load_external_data=False)
    names = tuple(v.name for v in model.graph.input), tuple(v.name for v in model.graph.output)
    if names != ((INPUT,), OUTPUTS):
        raise ModelInvalid(f"inputs and outputs are {names}", path=path)
    if any(tensor.data_location == tensor.EXTERNAL for tensor in model.graph.initializer):
        raise ModelInvalid("weights lie in another file", path=path)


def add_onnx_metadata(path: Path, values: dict[str, str]) -> None:
    """Write key-value pairs into the file's metadata_props."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, values)
    write_whole(path, model.SerializeToString(deterministic=True))


def _forget_origin(model: onnx.ModelProto) -> None:
    """Take out which source file and line each node came from: folders of one machine."""
    model.producer_name, model.producer_version = PRODUCER, ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
