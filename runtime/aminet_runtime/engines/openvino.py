# SPDX-License-Identifier: Apache-2.0
"""OpenVINO behind the engine protocol: one request, static shapes, float32 where it is not INT8.

The hints are those of one stream that answers as fast as it can. INFERENCE_PRECISION_HINT=f32 keeps
machines with bfloat16 units from computing in it (.11 to .14 in probability otherwise). Pinning is
off, since capped processes would share a core. What OpenVINO made of the hints is read back.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.bundle import MODEL_XML, Bundle
from aminet_runtime.engines.engine import (
    EVIDENCE,
    INPUT,
    PROBABILITIES,
    NetworkAnswer,
    checked_answer,
)
from aminet_runtime.engines.openvino_cut import FEATURES, Parts, cut, has_cut
from aminet_runtime.engines.openvino_import import (
    ISA_VARIABLE,
    import_openvino,
    is_isa_capped,
    one_thread_at_a_time,
    shared_core,
)
from aminet_runtime.errors import ModelIncompatible, ModelInvalid
from aminet_runtime.metadata import Precision
from aminet_runtime.regions import REGION_COUNT
from aminet_runtime.result import ResultWarning, WarningCode

if TYPE_CHECKING:
    import openvino

DEVICE = "CPU"
SETTINGS_TO_RECORD = (
    "PERFORMANCE_HINT",
    "NUM_STREAMS",
    "INFERENCE_NUM_THREADS",
    "INFERENCE_PRECISION_HINT",
    "ENABLE_CPU_PINNING",
    "EXECUTION_DEVICES",
)

CASE_CONTRACT = 20
CASE_PARSE = 21
CASE_CUT = 26
CASE_COMPILE = 20
CASE_PRECISION = 21


class OpenVinoEngine:
    """A network in OpenVINO IR, read from memory and checked against the bundle's metadata."""

    def __init__(self, bundle: Bundle, *, threads: int) -> None:
        """Read the network.

        Args:
            bundle: Its bytes are parsed, nothing is read from the disk.
            threads: How many threads one inference may use.

        Raises:
            ModelInvalid: The network cannot be parsed, or is not what the metadata says.
            ModelIncompatible: OpenVINO does not load here.
        """
        self._openvino = import_openvino()
        self._core = shared_core()
        self._threads = threads
        self._contract = bundle.metadata.input
        self._precision = bundle.metadata.precision
        with one_thread_at_a_time:
            self._model = _read_model(self._core, bundle)
            _require_contract(
                self._model, planes=self._contract.planes, path=bundle.path / MODEL_XML
            )
            self._parts = _cut(self._model, bundle)

    @property
    def version(self) -> str:
        """Name and version of the engine."""
        return f"OpenVINO {self._openvino.get_version().partition('-')[0]}"

    @property
    def precision(self) -> Precision:
        """The number format that the network computes in."""
        return self._precision

    @property
    def runs_what_was_measured(self) -> bool:
        """Whether this is the network and the engine of the bundle's figures."""
        return True

    def remarks(self) -> tuple[ResultWarning, ...]:
        """Remark on arithmetic that other machines may not reproduce."""
        if is_isa_capped():
            return ()
        return (
            ResultWarning(
                WarningCode.ARITHMETIC_NOT_CAPPED,
                f"{ISA_VARIABLE} asks for an instruction set whose answers may differ from those "
                "of other machines",
            ),
        )

    def compile(self, *, height: int, width: int) -> "OpenVinoNetwork | OpenVinoParts":
        """Compile for slices [C, height, width], which takes 0.1 to 0.4 s.

        Raises:
            ModelInvalid: The network cannot take slices of this size.
            ModelIncompatible: This machine cannot run the network.
        """
        with one_thread_at_a_time:
            if self._parts is None:
                model = _reshaped(self._model, [1, self._contract.planes, height, width])
                return OpenVinoNetwork(_compile(self._core, model, self._hints()))
            alone, together = self._parts
            alone = _reshaped(alone, [1, len(self._contract.channels), height, width])
            return OpenVinoParts(
                _compile(self._core, alone, self._hints()),
                _compile(self._core, together, self._hints()),
            )

    def _hints(self) -> dict[str, object]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }


class OpenVinoNetwork:
    """A network that is compiled for one size, with its one request."""

    def __init__(self, compiled: "openvino.CompiledModel") -> None:
        """Take over what OpenVINO compiled, and find the memory of its tensors."""
        self._settings = _read_back(compiled)
        self._request = compiled.create_infer_request()
        self._input_hu: NDArray[np.float32] = self._request.get_tensor(INPUT).data[0]
        self._probabilities = self._request.get_tensor(PROBABILITIES).data
        self._evidence = self._request.get_tensor(EVIDENCE).data

    @property
    def input_hu(self) -> NDArray[np.float32]:
        """float32 [C, H, W]: the memory that the network reads, to be written in place."""
        return self._input_hu

    @property
    def features(self) -> None:
        """All planes of a window are seen at once."""

    @property
    def settings(self) -> Mapping[str, str]:
        """OpenVINO's settings as it reports them after compiling."""
        return self._settings

    def look(self) -> NDArray[np.float32]:
        """Refuse: all planes of a window are seen at once."""
        raise NotImplementedError

    def infer(self) -> NetworkAnswer:
        """Answer for what `input_hu` holds now.

        Raises:
            ModelInvalid: The answer holds a value that is no probability.
        """
        _run(self._request)
        return checked_answer(self._probabilities[0], self._evidence[0])


class OpenVinoParts:
    """The two parts of a network, compiled for one size: one sees slices, the other answers."""

    def __init__(self, alone: "openvino.CompiledModel", together: "openvino.CompiledModel") -> None:
        """Take over what OpenVINO compiled, and find the memory of its tensors."""
        self._settings = _read_back(alone)
        self._looking, self._answering = (part.create_infer_request() for part in (alone, together))
        self._input_hu: NDArray[np.float32] = self._looking.get_tensor(INPUT).data[0]
        self._seen: NDArray[np.float32] = self._looking.get_tensor(FEATURES).data[0]
        self._features: NDArray[np.float32] = self._answering.get_tensor(FEATURES).data
        self._probabilities = self._answering.get_tensor(PROBABILITIES).data
        self._evidence = self._answering.get_tensor(EVIDENCE).data

    @property
    def input_hu(self) -> NDArray[np.float32]:
        """float32 [C, H, W]: the memory of one slice, to be written in place."""
        return self._input_hu

    @property
    def features(self) -> NDArray[np.float32]:
        """float32 [window, L], low to high: the memory that is answered for."""
        return self._features

    @property
    def settings(self) -> Mapping[str, str]:
        """OpenVINO's settings as it reports them after compiling."""
        return self._settings

    def look(self) -> NDArray[np.float32]:
        """See the slice that `input_hu` holds now; float32 [L], valid until the next look."""
        _run(self._looking)
        return self._seen

    def infer(self) -> NetworkAnswer:
        """Answer for what `features` holds now.

        Raises:
            ModelInvalid: The answer holds a value that is no probability.
        """
        _run(self._answering)
        return checked_answer(self._probabilities[0], self._evidence[0])


def _run(request: "openvino.InferRequest") -> None:
    request.start_async()  # `infer` would copy all outputs into a dictionary first
    request.wait()


def _read_model(core: "openvino.Core", bundle: Bundle) -> "openvino.Model":
    """Parse the bytes that were hashed; OpenVINO sees no path and so reads nothing else."""
    try:
        return core.read_model(model=bundle.model_xml, weights=bundle.model_bin)
    except RuntimeError as cause:
        raise ModelInvalid(
            f"OpenVINO cannot read the network ({_last_line(cause)})",
            case=CASE_PARSE,
            path=bundle.path / MODEL_XML,
            hint="export the bundle again",
        ) from cause


def _require_contract(model: "openvino.Model", *, planes: int, path: Path) -> None:
    """Compare names, types and shapes with the one network contract of docs/bundle.md."""
    found = {"in": _describe(model.inputs), "out": _describe(model.outputs)}
    wanted = {
        "in": {INPUT: (4, planes)},
        "out": {PROBABILITIES: (2, REGION_COUNT), EVIDENCE: (4, REGION_COUNT)},
    }
    if found != wanted:
        raise ModelInvalid(
            f"the network has (rank, second dimension) {found}, not {wanted} in float32",
            case=CASE_CONTRACT,
            path=path,
            hint="export the bundle again; metadata and network do not belong together",
        )


def _cut(model: "openvino.Model", bundle: Bundle) -> Parts | None:
    if not has_cut(model):
        return None
    try:
        return cut(model, channels=len(bundle.metadata.input.channels))
    except (ValueError, RuntimeError) as cause:
        raise ModelInvalid(
            f"the network cannot be cut where its names say ({_last_line(cause)})",
            case=CASE_CUT,
            path=bundle.path / MODEL_XML,
            hint="export the bundle again",
        ) from cause


def _describe(ports: "list[openvino.Output]") -> dict[str, tuple[int, int]]:
    """Map the name of each float32 port to its rank and its second dimension; -1 if not static."""
    described = {}
    for port in ports:
        shape = port.get_partial_shape()
        rank = shape.rank.get_length() if shape.rank.is_static else -1
        second = shape[1].get_length() if rank > 1 and shape[1].is_static else -1
        described[_port_name(port)] = (rank, second)
    return described


def _port_name(port: "openvino.Output") -> str:
    """Return the contract's name of a port that bears it, or one that is in no contract."""
    if port.get_element_type().get_type_name() != "f32":
        return f"{port.get_element_type().get_type_name()} tensor"
    known = port.get_names() & {INPUT, PROBABILITIES, EVIDENCE}
    return str(min(known, default="another tensor"))


def _reshaped(model: "openvino.Model", shape: list[int]) -> "openvino.Model":
    copy = model.clone()
    try:
        copy.reshape({INPUT: shape})
    except RuntimeError as cause:
        raise ModelInvalid(
            f"the network cannot take slices of {shape[3]} x {shape[2]} pixels "
            f"({_last_line(cause)})",
            case=CASE_CONTRACT,
            hint="use a bundle whose network resizes its input",
        ) from cause
    return copy


def _compile(
    core: "openvino.Core", model: "openvino.Model", hints: dict[str, object]
) -> "openvino.CompiledModel":
    try:
        return core.compile_model(model, DEVICE, hints)
    except RuntimeError as cause:
        raise ModelIncompatible(
            f"this CPU cannot run the network with OpenVINO ({_last_line(cause)})",
            case=CASE_COMPILE,
            hint="OpenVINO needs AVX2 for INT8 networks; run aminet-run --doctor",
        ) from cause


def _read_back(compiled: "openvino.CompiledModel") -> dict[str, str]:
    """Record the settings, and insist on the one that decides whether machines agree."""
    settings = {key: str(compiled.get_property(key)) for key in SETTINGS_TO_RECORD}
    if "float32" not in settings["INFERENCE_PRECISION_HINT"]:
        raise ModelIncompatible(
            f"OpenVINO computes in {settings['INFERENCE_PRECISION_HINT']}, not in float32",
            case=CASE_PRECISION,
            hint="install the OpenVINO release that the bundle was made with",
        )
    return settings


def _last_line(error: Exception) -> str:
    """Return what OpenVINO says last, without the source files that it passed through."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
