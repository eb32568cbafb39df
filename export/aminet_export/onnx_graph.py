# SPDX-License-Identifier: Apache-2.0
"""torch to one float ONNX file: raw HU in, probabilities and evidence out."""

import copy
from pathlib import Path

import onnx
import torch
from onnx.checker import ValidationError

from aminet_runtime.errors import ModelInvalid
from aminet_train.model import DeployableModel

ONNX_FILE = "model.onnx"
OPSET = 20
INPUT = "slices"
OUTPUTS = ("probabilities", "evidence")

_TRACED_BATCH = 2  # a batch of one would be taken for a constant
_TRACED_EDGE_PX = 256  # any size that is not the network's own, or the resize would vanish


def export_onnx(model: DeployableModel, path: Path, *, channels: int) -> None:
    """Write a model as one ONNX file with dynamic N, H and W and no external data.

    Args:
        model: In eval mode.
        path: Of the file.
        channels: C of the input.
    """
    example = torch.zeros(_TRACED_BATCH, channels, _TRACED_EDGE_PX, _TRACED_EDGE_PX + 32)
    batch, height, width = (torch.export.Dim(name) for name in ("N", "H", "W"))
    traced = copy.deepcopy(model)
    with torch.no_grad():
        traced(example)  # EfficientFormerV2 now has its attention biases in its cache, not a trace
    torch.onnx.export(
        traced,
        (example,),
        path,
        dynamo=True,
        external_data=False,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_shapes={"slices": {0: batch, 2: height, 3: width}},
        verbose=False,
    )


def check_onnx(path: Path) -> None:
    """Check the file against the ONNX specification and our contract.

    Raises:
        ModelInvalid: It does not hold; the message names what differs.
    """
    try:
        onnx.checker.check_model(path, full_check=True)
    except ValidationError as cause:
        raise ModelInvalid(f"not valid ONNX: {cause}", path=path) from cause
    graph = onnx.load(path).graph
    names = tuple(value.name for value in graph.input), tuple(value.name for value in graph.output)
    if names != ((INPUT,), OUTPUTS):
        raise ModelInvalid(f"inputs and outputs are {names}", path=path)


def add_onnx_metadata(path: Path, values: dict[str, str]) -> None:
    """Write key-value pairs into the file's metadata_props."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, values)
    onnx.save(model, path)
