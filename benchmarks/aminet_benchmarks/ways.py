# SPDX-License-Identifier: Apache-2.0
"""The ways to answer for a patient that are compared, each as a command line."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_runtime.bundle import MODEL_XML, Bundle
from aminet_runtime.errors import InputUnsupported
from aminet_runtime.patient import Channel, PatientFolder
from aminet_runtime.volume import Volume

if TYPE_CHECKING:
    from aminet_benchmarks.twins import Twins  # torch: too slow for a command's help

RUN = "aminet-run"
_ALTERNATIVES = "aminet_benchmarks.alternatives"
PLAIN_LAYOUTS = ("<i2 LPS from byte 352, gzip", "|u1 LPS from byte 352, gzip")
"""Of scans and of the atlas; whoever checks nothing must know where the voxels start."""


class Way(StrEnum):
    """A way, by the word that chooses it on the command line."""

    OURS = "ours"
    SCRIPT = "script"
    OPENVINO_FLOAT = "openvino-float"
    ONNX_INT8 = "onnx-int8"
    ONNX_FLOAT = "onnx-float"
    TORCHSCRIPT = "torchscript"
    REPORT = "report"


LABELS: Mapping[Way, str] = {
    Way.OURS: "aminet-run",
    Way.SCRIPT: "30-line OpenVINO script",
    Way.OPENVINO_FLOAT: "that script, float network",
    Way.ONNX_INT8: "ONNX Runtime, INT8",
    Way.ONNX_FLOAT: "ONNX Runtime, float",
    Way.TORCHSCRIPT: "nibabel, TorchScript",
    Way.REPORT: "the source report's way",
}


@dataclass(frozen=True, slots=True)
class Task:
    """A patient and the bundle that answers for him.

    Attributes:
        patient: The patient's folder.
        bundle: The opened bundle.
        volumes: The files of the bundle's channels, in order.
        shape: Canonical (Z, H, W).
    """

    patient: Path
    bundle: Bundle
    volumes: tuple[Path, ...]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, patient: Path, bundle_dir: Path) -> "Task":
        """Open a bundle and find what it reads of a patient.

        Raises:
            ModelInvalid: It is an ensemble, or no bundle at all.
        """
        bundle = Bundle.open(bundle_dir)
        folder = PatientFolder.open(patient)
        volumes = tuple(folder.path_of(channel) for channel in bundle.metadata.input.channels)
        with Volume.open(volumes[0]) as volume:
            return cls(patient, bundle, volumes, volume.shape)


def require_plain(task: Task) -> None:
    """Refuse what the alternatives cannot read: they know one layout.

    Raises:
        InputUnsupported: The bundle looks at neighbours or at SPIRAL maps, or the patient is
            stored in another way than LPS and int16 (the atlas uint8) behind 352 bytes, unscaled,
            in gzip.
    """
    contract = task.bundle.metadata.input
    if contract.window != 1 or Channel.SPIRAL in contract.channels:
        raise InputUnsupported(
            f"{task.bundle.name} looks at {contract.window} slices of "
            f"{', '.join(contract.channels)}; the alternatives read single slices of CT and atlas",
            path=task.bundle.path,
            hint="compare another bundle",
        )
    for path in task.volumes:
        with Volume.open(path) as volume:
            found = _layout(path, volume)
        if found not in PLAIN_LAYOUTS:
            raise InputUnsupported(
                f"stored as {found}; the alternatives read {' or '.join(PLAIN_LAYOUTS)}",
                path=path,
                hint="compare on a phantom",
            )


def _layout(path: Path, volume: Volume) -> str:
    header = volume.header
    packed = "gzip" if path.name.endswith(".gz") else "no gzip"
    scaling = f", slope {header.slope:g}, intercept {header.intercept:g}" * header.is_scaled
    return (
        f"{header.dtype.str} {volume.stored_orientation} from byte {header.data_offset}{scaling}, "
        f"{packed}"
    )


def our_command(
    patients: Sequence[Path], bundle_dir: Path, *, threads: int, jobs: int = 1
) -> list[str]:
    """Return `aminet-run` with the probabilities of each slice as JSON."""
    return [
        *(str(Path(sys.executable).with_name(RUN)), *map(str, patients)),
        *("--bundle", str(bundle_dir), "--json", "--slices"),
        *("--threads", str(threads), "--jobs", str(jobs)),
    ]


def command_of(
    way: Way, task: Task, twins: "Twins | None", *, threads: int = 1
) -> list[str] | None:
    """Return the command of a way; None where there is no network for it."""
    _depth, height, width = task.shape
    sizes = (str(width), str(height), *map(str, task.volumes))
    if way is Way.OURS:
        return our_command([task.patient], task.bundle.path, threads=threads)
    if way is Way.SCRIPT:
        return _python("minimal_openvino", task.bundle.path / MODEL_XML, *sizes)
    if twins is None:
        return None
    if way in (Way.REPORT, Way.TORCHSCRIPT):
        program = "report_way" if way is Way.REPORT else "torchscript_way"
        return _python(program, twins.checkpoint, *map(str, task.volumes))
    network = twins.onnx_int8 if way is Way.ONNX_INT8 else twins.onnx
    program = "minimal_openvino" if way is Way.OPENVINO_FLOAT else "onnxruntime_way"
    return None if network is None else _python(program, network, *sizes)


def gunzip_command(task: Task) -> list[str]:
    """Return the command that unpacks what the bundle reads, and no more."""
    return _python("gunzip_alone", *map(str, task.volumes))


def _python(program: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", f"{_ALTERNATIVES}.{program}", *map(str, arguments)]
