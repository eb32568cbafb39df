# SPDX-License-Identifier: Apache-2.0
"""ONNX to OpenVINO IR, float or quantised, and what is written into it."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import openvino as ov

from aminet_export.onnx_graph import INPUT, OUTPUTS
from aminet_export.resizing import gather_resizes
from aminet_runtime.bundle import MODEL_BIN, MODEL_XML
from aminet_runtime.engines.openvino_import import shared_core
from aminet_runtime.errors import ModelInvalid, OutputNotWritable
from aminet_runtime.metadata import Precision
from aminet_runtime.publish import CASE_NO_SPACE

_GIVEN_BY_OPENVINO = re.compile(r"[A-Z][A-Za-z]*_\d+")
"""Such as `Constant_1335`; the number counts the nodes that this process has made."""


def convert(onnx_path: Path) -> ov.Model:
    """Convert a float ONNX file to an OpenVINO model with our tensor names and fast resizes.

    Raises:
        ModelInvalid: OpenVINO cannot convert it.
    """
    try:
        model = ov.convert_model(onnx_path)
    except RuntimeError as cause:
        raise ModelInvalid(f"OpenVINO cannot convert it ({cause})", path=onnx_path) from cause
    model.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    gather_resizes(model)
    name_alike(model)
    return model


def name_alike(model: ov.Model) -> None:
    """Number what OpenVINO has named by a counter, so that two exports give the same bytes.

    Names that were given here before stay, and are not given twice: OpenVINO would tell the two
    apart by its counter again.
    """
    nodes = model.get_ordered_ops()
    taken = {node.get_friendly_name() for node in nodes}
    numbers: dict[str, Iterator[int]] = {}
    for node in nodes:
        if _GIVEN_BY_OPENVINO.fullmatch(node.get_friendly_name()):
            kind = node.get_type_name().lower()
            number = numbers.setdefault(kind, itertools.count())
            name = next(n for n in (f"{kind}.{k}" for k in number) if n not in taken)
            node.set_friendly_name(name)


def save(model: ov.Model, folder: Path, precision: Precision) -> None:
    """Write model.xml and model.bin; only fp16 halves the weights that are float.

    Raises:
        OutputNotWritable: The disk does not take them.
    """
    name_alike(model)
    try:
        ov.save_model(model, folder / MODEL_XML, compress_to_fp16=precision is Precision.FP16)
        read(folder)
    except (RuntimeError, ModelInvalid) as cause:
        raise OutputNotWritable(
            "the network could not be written whole",
            case=CASE_NO_SPACE,
            path=folder,
            hint="check the space on the disk",
        ) from cause


def read(folder: Path) -> ov.Model:
    """Read back what `save` wrote: this is what ships, and what is measured.

    Raises:
        ModelInvalid: It cannot be read.
    """
    try:
        return shared_core().read_model(
            model=(folder / MODEL_XML).read_bytes(), weights=(folder / MODEL_BIN).read_bytes()
        )
    except (RuntimeError, OSError) as cause:
        raise ModelInvalid("OpenVINO cannot read it back", path=folder / MODEL_XML) from cause


def annotate(model: ov.Model, values: dict[str, str], *, section: str) -> None:
    """Write key-value pairs into a section of the IR's rt_info."""
    for key, value in values.items():
        model.set_rt_info(value, [section, key])
