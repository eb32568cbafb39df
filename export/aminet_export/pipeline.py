# SPDX-License-Identifier: Apache-2.0
"""Checkpoint to bundle, step by step; the bundle appears whole or not at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openvino as ov

from aminet_export.calibration import CalibrationSlice, calibration_hu, choose_calibration
from aminet_export.contents import BundleContents, write_contents
from aminet_export.engines import onnx_scorer, openvino_scorer, torch_scorer
from aminet_export.onnx_graph import ONNX_FILE, check_onnx, export_onnx
from aminet_export.openvino_ir import convert
from aminet_export.parity import Parity, compare
from aminet_export.quantize import quantize
from aminet_export.scoring import FolderScores, score_cached, score_folder
from aminet_export.steps import OnStep, StepLog
from aminet_runtime.bundle import write_checksums
from aminet_runtime.errors import InputMissing
from aminet_runtime.metadata import Precision
from aminet_runtime.publish import publish_folder
from aminet_train.checkpoint import CheckpointInfo, load_model
from aminet_train.evaluate import evaluate_scores
from aminet_train.model import DeployableModel
from aminet_train.patients import PatientsBySplit, gather_patients
from aminet_train.splits import Split
from aminet_train.thresholds import ChosenRule, choose_rule

CALIBRATION_SLICES = 300
"""NNCF's own default."""

REFERENCE = "torch"
"""What the other engines are compared with."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to export.

    Attributes:
        checkpoint: Folder that aminet-train wrote.
        data: Prepared cohorts: training patients calibrate, validation patients choose the
            decision rule, test patients measure.
        output: Folder of the bundle; must not exist.
        precision: Of the network that ships, FP32 or INT8.
        parity_patient: Patient folder on whose full-size slices the engines are compared.
        calibration_slices: How many slices calibrate INT8.
        keeps_onnx: Whether the float ONNX twin stays in the bundle; it is four times as large.
        seed: Of the calibration draw.
    """

    checkpoint: Path
    data: tuple[Path, ...]
    output: Path
    precision: Precision
    parity_patient: Path
    calibration_slices: int = CALIBRATION_SLICES
    keeps_onnx: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did.

    Attributes:
        bundle: Its folder.
        parity: Engine to its distance from torch on the parity patient.
        metrics: Metrics on test patients, by precision.
        seconds: By step.
    """

    bundle: Path
    parity: dict[str, Parity]
    metrics: dict[Precision, dict[str, Any]]
    seconds: dict[str, float]


def export_bundle(plan: ExportPlan, *, on_step: OnStep) -> ExportReport:
    """Export a checkpoint as a bundle.

    Args:
        plan: What to export.
        on_step: Called with name and seconds of each step.

    Raises:
        AminetError: A step failed; its name stands in front of the message, and nothing is left.
    """
    log = StepLog(on_step)
    with publish_folder(plan.output) as folder:
        with log.step("load checkpoint"):
            source = _load(plan)
        with log.step("write and check ONNX"):
            export_onnx(source.model, folder / ONNX_FILE, channels=source.channels)
            check_onnx(folder / ONNX_FILE)
        with log.step("convert to OpenVINO IR"):
            float_ir = convert(folder / ONNX_FILE)
        with log.step("calibrate and quantise"):
            calibration = _choose_calibration(plan, source)
            shipped = _quantise(float_ir, source, calibration) if calibration else float_ir
        with log.step("choose the decision rule on validation patients"):
            rule = _choose_rule(shipped, source)
        with log.step("measure on test patients"):
            metrics = _measure({Precision.FP32: float_ir, plan.precision: shipped}, source, rule)
        with log.step("compare engines on a full-size patient"):
            scored = _score_parity_patient(plan, source, folder, float_ir, shipped)
            parity = _compare(scored, rule)
        with log.step("write the bundle"):
            contents = BundleContents(
                name=plan.output.name,
                precision=plan.precision,
                info=source.info,
                patients=source.patients,
                rule=rule,
                calibration=calibration,
                metrics=metrics,
                parity=parity,
                sample=scored.sample,
            )
            write_contents(folder, shipped, contents)
            if not plan.keeps_onnx:
                (folder / ONNX_FILE).unlink()
            write_checksums(folder)
    return ExportReport(plan.output, parity, metrics, log.seconds)


@dataclass(frozen=True, slots=True)
class _Source:
    info: CheckpointInfo
    model: DeployableModel
    patients: PatientsBySplit

    @property
    def channels(self) -> int:
        return len(self.info.preprocessing.channels)

    @property
    def cached_shape(self) -> tuple[int, int, int, int]:
        return (1, self.channels, *self.info.preprocessing.size_px)


def _load(plan: ExportPlan) -> _Source:
    info, model = load_model(plan.checkpoint)
    _cohort, patients = gather_patients(plan.data)
    missing = [split.value for split in Split if not patients[split]]
    if missing:
        raise InputMissing(
            f"there are no {' and no '.join(missing)} patients",
            hint="export needs all three splits; add cohorts with --data",
        )
    return _Source(info, model, patients)


def _choose_calibration(plan: ExportPlan, source: _Source) -> list[CalibrationSlice]:
    if plan.precision is not Precision.INT8:
        return []
    training = source.patients[Split.TRAIN]
    return choose_calibration(training, count=plan.calibration_slices, seed=plan.seed)


def _quantise(float_ir: ov.Model, source: _Source, calibration: list[CalibrationSlice]) -> ov.Model:
    slices_hu = calibration_hu(calibration, source.model.preprocessing)
    return quantize(float_ir, slices_hu, count=len(calibration))


def _choose_rule(shipped: ov.Model, source: _Source) -> ChosenRule:
    validation = source.patients[Split.VALIDATION]
    scorer = openvino_scorer(shipped, source.cached_shape)
    scores = score_cached(scorer, validation, source.model.preprocessing)
    return choose_rule(scores, [patient.truth.labels for patient in validation])


def _measure(
    models: dict[Precision, ov.Model], source: _Source, rule: ChosenRule
) -> dict[Precision, dict[str, Any]]:
    test = source.patients[Split.TEST]
    labels = [patient.truth.labels for patient in test]
    metrics = {}
    for precision, model in models.items():
        scorer = openvino_scorer(model, source.cached_shape)
        scores = score_cached(scorer, test, source.model.preprocessing)
        metrics[precision] = evaluate_scores(scores, labels, rule)
    return metrics


def _score_parity_patient(
    plan: ExportPlan, source: _Source, folder: Path, float_ir: ov.Model, shipped: ov.Model
) -> FolderScores:
    onnx_path = folder / ONNX_FILE
    return score_folder(
        plan.parity_patient,
        source.info.preprocessing.channels,
        {
            REFERENCE: lambda _shape: torch_scorer(source.model),
            "ONNX Runtime, float": lambda _shape: onnx_scorer(onnx_path),
            "OpenVINO, float": lambda shape: openvino_scorer(float_ir, shape),
            f"OpenVINO, {plan.precision.value}": lambda shape: openvino_scorer(shipped, shape),
        },
        shipped=f"OpenVINO, {plan.precision.value}",
    )


def _compare(scored: FolderScores, rule: ChosenRule) -> dict[str, Parity]:
    reference = scored.scores[REFERENCE]
    return {
        name: compare([reference], [scores], rule)
        for name, scores in scored.scores.items()
        if name != REFERENCE
    }
