# SPDX-License-Identifier: Apache-2.0
"""Which engine runs a bundle."""

from enum import StrEnum

from aminet_runtime.bundle import Bundle
from aminet_runtime.engines.engine import Engine
from aminet_runtime.engines.onnxruntime import OnnxRuntimeEngine
from aminet_runtime.engines.openvino import OpenVinoEngine


class EngineName(StrEnum):
    """The engines that can be asked for."""

    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"


def start_engine(name: EngineName, bundle: Bundle, *, threads: int) -> Engine:
    """Read a bundle's network with an engine.

    Raises:
        ModelInvalid: The network cannot be parsed, or is not what the metadata says.
        ModelIncompatible: The engine does not load here, or the bundle has no network for it.
    """
    if name is EngineName.ONNXRUNTIME:
        return OnnxRuntimeEngine(bundle, threads=threads)
    return OpenVinoEngine(bundle, threads=threads)
