# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime behind the engine protocol: the bundle's float network, for machines of any kind.

It runs where OpenVINO does not: below AVX2, and on architectures that OpenVINO has no wheel for. It
is slower, and the network is the float twin of the one whose figures the bundle states.
"""

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.bundle import MODEL_ONNX, Bundle
from aminet_runtime.bundle_files import MANIFEST, read_verified
from aminet_runtime.engines.engine import (
    EVIDENCE,
    INPUT,
    PROBABILITIES,
    NetworkAnswer,
    checked_answer,
)
from aminet_runtime.errors import ModelIncompatible, ModelInvalid
from aminet_runtime.metadata import Precision
from aminet_runtime.regions import REGION_COUNT
from aminet_runtime.result import ResultWarning, WarningCode

if TYPE_CHECKING:
    import onnxruntime

PROVIDER = "CPUExecutionProvider"
FLOAT = "tensor(float)"
SILENT = 4  # what goes wrong is raised, too, and told in one line
NO_EXTERNAL_DATA = "session.model_external_initializers_file_folder_path"
"""Where ONNX Runtime looks for weights outside of the model's bytes, which nobody has hashed."""

CASE_NOT_INSTALLED = 3
CASE_NO_ONNX = 23
CASE_PARSE = 23
CASE_CONTRACT = 24
CASE_SIZE = 25


class OnnxRuntimeEngine:
    """A network in ONNX, read from memory and checked against the bundle's metadata."""

    def __init__(self, bundle: Bundle, *, threads: int) -> None:
        """Read the network.

        Args:
            bundle: Its `model.onnx` is read, and parsed if its hash is right.
            threads: How many threads one inference may use.

        Raises:
            ModelInvalid: The network cannot be parsed, or is not what the metadata says.
            ModelUntrusted: The file was changed.
            ModelIncompatible: ONNX Runtime is not installed, or the bundle has no such network.
        """
        self._onnxruntime = _import_onnxruntime()
        self._planes = bundle.metadata.input.planes
        self._threads = threads
        data = _read_onnx(bundle)
        self._session = self._start(data, bundle)
        _require_contract(self._session, planes=self._planes, bundle=bundle)

    @property
    def version(self) -> str:
        """Name and version of the engine."""
        return f"ONNX Runtime {self._onnxruntime.__version__}"

    @property
    def precision(self) -> Precision:
        """The number format that the network computes in."""
        return Precision.FP32

    @property
    def runs_what_was_measured(self) -> bool:
        """Whether this is the network and the engine of the bundle's figures."""
        return False

    def remarks(self) -> tuple[ResultWarning, ...]:
        """Say that this is not the network whose figures the bundle states."""
        return (
            ResultWarning(
                WarningCode.FLOAT_TWIN,
                "ONNX Runtime ran the float network; thresholds and figures of the bundle are "
                "those of OpenVINO, so a decision near its threshold may differ",
            ),
        )

    def compile(self, *, height: int, width: int) -> "OnnxRuntimeNetwork":
        """Prepare for slices [C, height, width], by a first answer for an empty one.

        Raises:
            ModelInvalid: The network cannot take slices of this size.
        """
        network = OnnxRuntimeNetwork(self._session, (self._planes, height, width), self._threads)
        try:
            network.infer()
        except _errors(self._onnxruntime) as cause:
            raise ModelInvalid(
                f"the network cannot take slices of {width} x {height} pixels ({_first(cause)})",
                case=CASE_SIZE,
                hint="use a bundle whose network resizes its input",
            ) from cause
        return network

    def _start(self, data: bytes, bundle: Bundle) -> "onnxruntime.InferenceSession":
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = SILENT
        # a file is no folder: whatever the model names, it is not there
        options.add_session_config_entry(NO_EXTERNAL_DATA, str(bundle.path / MANIFEST))
        try:
            return self._onnxruntime.InferenceSession(data, options, providers=[PROVIDER])
        except _errors(self._onnxruntime) as cause:
            raise ModelInvalid(
                f"ONNX Runtime cannot read the network ({_first(cause)})",
                case=CASE_PARSE,
                path=bundle.path / MODEL_ONNX,
                hint="export the bundle again",
            ) from cause


class OnnxRuntimeNetwork:
    """A network and the memory of one slice."""

    def __init__(
        self, session: "onnxruntime.InferenceSession", shape: tuple[int, int, int], threads: int
    ) -> None:
        """Take over a session, which is made for any size, for slices of one."""
        self._session = session
        self._input = np.zeros((1, *shape), np.float32)  # [N, C, H, W]
        self._settings = {"PROVIDERS": PROVIDER, "INTRA_OP_THREADS": str(threads)}

    @property
    def input_hu(self) -> NDArray[np.float32]:
        """float32 [C, H, W]: the memory that the network reads, to be written in place."""
        hu: NDArray[np.float32] = self._input[0]
        return hu

    @property
    def features(self) -> None:
        """The whole graph is run for each window: it is not cut."""

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of the session."""
        return self._settings

    def look(self) -> NDArray[np.float32]:
        """Refuse: all planes of a window are seen at once."""
        raise NotImplementedError

    def infer(self) -> NetworkAnswer:
        """Answer for what `input_hu` holds now.

        Raises:
            ModelInvalid: The answer holds a value that is no probability.
        """
        outputs = self._session.run([PROBABILITIES, EVIDENCE], {INPUT: self._input})
        return checked_answer(outputs[0][0], outputs[1][0])


def _import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime, with its telemetry (of Windows) off before any session starts."""
    try:
        import onnxruntime  # noqa: PLC0415 - an extra, and takes 0.1 s
    except (ImportError, OSError) as cause:
        raise ModelIncompatible(
            f"ONNX Runtime cannot be loaded ({cause})",
            case=CASE_NOT_INSTALLED,
            hint="install it: pip install 'aminet[onnxruntime]'",
        ) from cause
    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module


def _read_onnx(bundle: Bundle) -> bytes:
    if MODEL_ONNX not in bundle.hashes:
        raise ModelIncompatible(
            f"the bundle holds no {MODEL_ONNX}, which ONNX Runtime needs",
            case=CASE_NO_ONNX,
            path=bundle.path,
            hint="use the bundle as it was exported, or --engine openvino",
        )
    return read_verified(bundle.path, MODEL_ONNX, hashes=bundle.hashes)


def _require_contract(
    session: "onnxruntime.InferenceSession", *, planes: int, bundle: Bundle
) -> None:
    """Compare names, types and shapes with the one network contract of docs/bundle.md."""
    found = {_describe(port) for port in (*session.get_inputs(), *session.get_outputs())}
    wanted = {
        (INPUT, FLOAT, 4, planes),
        (PROBABILITIES, FLOAT, 2, REGION_COUNT),
        (EVIDENCE, FLOAT, 4, REGION_COUNT),
    }
    if found != wanted:
        raise ModelInvalid(
            f"the network has (name, type, rank, second dimension) {sorted(found, key=str)}, not "
            f"{sorted(wanted)}",
            case=CASE_CONTRACT,
            path=bundle.path / MODEL_ONNX,
            hint="export the bundle again; metadata and network do not belong together",
        )


def _describe(port: "onnxruntime.NodeArg") -> tuple[str, str, int, object]:
    shape = port.shape
    return port.name, port.type, len(shape), shape[1] if len(shape) > 1 else None


def _errors(module: ModuleType) -> tuple[type[Exception], ...]:
    """List what ONNX Runtime raises: classes without a common base of their own."""
    state = module.capi.onnxruntime_pybind11_state
    kinds = [kind for kind in vars(state).values() if inspect.isclass(kind)]
    return (RuntimeError, *(kind for kind in kinds if issubclass(kind, Exception)))


def _first(error: Exception) -> str:
    """Return what ONNX Runtime says first."""
    return (str(error).splitlines() or ["no reason given"])[0]
