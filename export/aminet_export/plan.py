# SPDX-License-Identifier: Apache-2.0
"""What is asked of an export, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from aminet_export.accuracy import Drops, HeldOut
from aminet_export.calibration import SLICES
from aminet_export.gate import MAX_DROP
from aminet_export.isa_sweep import Sweep
from aminet_export.onnx_int8_judge import OnnxInt8Verdict
from aminet_export.parity import Parity
from aminet_export.steps import OnProgress, OnStep, StepReport
from aminet_runtime.errors import UsageError
from aminet_runtime.metadata import Precision


class Backend(StrEnum):
    """For which engines a bundle holds networks."""

    OPENVINO = "openvino"
    """IR alone: the smallest bundle, and all that `aminet-run` needs."""

    BOTH = "both"
    """IR, and ONNX files for hosts with ONNX Runtime; of INT8 only if test patients allow it."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to export.

    Attributes:
        checkpoint: Folder that aminet-train wrote.
        data: Prepared cohorts: training patients calibrate, validation patients choose decision
            rules and guide accuracy control, test patients judge.
        output: Folder of the bundle; must not exist.
        precision: Of the network that ships.
        backend: Whether ONNX files go with it.
        max_drop: Largest loss of F1 against float, at either level.
        parity_patient: Patient folder on whose full-size slices all stages are compared, too.
        calibration_slices: How many slices calibrate INT8.
        seed: Of the calibration draw.
    """

    checkpoint: Path
    data: tuple[Path, ...]
    output: Path
    precision: Precision
    backend: Backend = Backend.BOTH
    max_drop: float = MAX_DROP
    parity_patient: Path | None = None
    calibration_slices: int = SLICES
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse an allowance that would open the gate.

        Raises:
            UsageError: `max_drop` is no share of F1.
        """
        if not 0 <= self.max_drop <= 1:  # refuses NaN, too
            raise UsageError(f"--max-drop {self.max_drop:g} is not within 0..1")


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom an export tells how it gets on.

    Attributes:
        on_step: After each step.
        on_progress: Within the long ones.
    """

    on_step: OnStep = field(default=lambda _report: None)
    on_progress: OnProgress = field(default=lambda _done, _total: None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about the networks of an export.

    Attributes:
        metrics: On test patients, by precision.
        drops: From float to what ships, on test patients; None if float ships.
        restored_layers: Layers that accuracy control put back to float.
        parity: Stage to its distance from torch, on cached held-out patients.
        full_size: The same on the patient folder; empty without one.
        preprocessing_difference: Largest difference of the graph's window and resize to the
            training cache, in the units 0..1 of the network's input; for the SPIRAL threshold of
            the maxima that the graph finds to the prepared ones.
        onnx_int8: The INT8 file for ONNX Runtime; None if none was asked for.
        swept: All instruction sets.
        held_out: The test patients, and what they were scored.
    """

    metrics: Mapping[Precision, dict[str, Any]]
    drops: Drops | None
    restored_layers: tuple[str, ...]
    parity: Mapping[str, Parity]
    full_size: Mapping[str, Parity]
    preprocessing_difference: float
    onnx_int8: OnnxInt8Verdict | None
    swept: Sweep
    held_out: HeldOut


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did.

    Attributes:
        bundle: Its folder.
        verdict: What it found out.
        steps: Each with result and time.
    """

    bundle: Path
    verdict: Verdict
    steps: tuple[StepReport, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values for machines; the receipts in the bundle hold the rest."""
        drops, onnx_int8 = self.verdict.drops, self.verdict.onnx_int8
        return {
            "bundle": str(self.bundle),
            "steps": [step.to_json() for step in self.steps],
            "f1_drop": drops and {level.value: drop.to_json() for level, drop in drops.items()},
            "restored_layers": list(self.verdict.restored_layers),
            "onnx_int8": onnx_int8 and onnx_int8.to_json(),
        }
