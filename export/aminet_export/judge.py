# SPDX-License-Identifier: Apache-2.0
"""Held-out patients judge the networks: F1 with what ships, parity of the stages, the CPUs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from aminet_export.accuracy import Decided, Drops, HeldOut, f1_drops
from aminet_export.engines import Scorer, onnx_scorer, torch_scorer
from aminet_export.gate import exceeds, require_accuracy, require_findings, require_float_agreement
from aminet_export.isa_sweep import (
    Sweep,
    available_isas,
    played_by_process,
    require_same_answers,
    sweep,
)
from aminet_export.networks import Networks
from aminet_export.onnx_graph import ONNX_FILE
from aminet_export.onnx_int8 import ONNX_INT8_FILE
from aminet_export.openvino_scorer import openvino_scorer
from aminet_export.parity import Parity, compare, largest_difference
from aminet_export.plan import ExportPlan
from aminet_export.source import Source
from aminet_runtime.metadata import Precision
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.judging.evaluate import evaluate_scores

PARITY_PATIENTS = 2
"""Whole patients that go through every stage; torch takes most of the time."""

SWEEP_STRIDE = 4
"""Every fourth slice of the parity patients is played under each instruction set."""

UPSCALING = 2
"""Cached slices are shown twice as large, so that the resize has something to do."""

TORCH, ONNX, IR_FLOAT = "torch", "ONNX", "IR float"

StageScores = Mapping[str, Sequence[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What test patients say.

    Attributes:
        metrics: By precision, each with its own rule.
        drops: From float to what ships; None if float ships.
        held_out: The patients, and what they were scored.
    """

    metrics: Mapping[Precision, dict[str, Any]]
    drops: Drops | None
    held_out: HeldOut


def judge_accuracy(plan: ExportPlan, source: Source, networks: Networks) -> Accuracy:
    """Score test patients, once, with the float network and with what ships.

    Raises:
        GateFailed: What ships loses too much F1 at some level, or float finds nothing.
    """
    labels = source.labels(Split.TEST)
    names = [patient.patient_id for patient in source.patients[Split.TEST]]
    reference = Decided(
        source.score(networks.reference, Split.TEST), networks.reference_decided.rule
    )
    if plan.precision is Precision.FP32:
        held_out = HeldOut(names, labels, reference, reference)
        return Accuracy({Precision.FP32: _metrics(reference, labels)}, None, held_out)
    scores = source.score(networks.shipped.model, Split.TEST)
    shipped = Decided(scores, networks.shipped.validation.rule)
    drops = f1_drops(reference, shipped, labels)
    require_findings(drops, patients=len(labels))
    if exceeds(drops, plan.max_drop):  # ranking takes a while, and is for the message only
        ranked = networks.rank() if plan.precision is Precision.INT8 else []
        worst = [layer for layer in ranked if layer.name not in networks.shipped.layers]
        require_accuracy(
            drops,
            max_drop=plan.max_drop,
            patients=len(labels),
            precision=plan.precision,
            worst=worst,
        )
    metrics = {
        Precision.FP32: _metrics(reference, labels),
        plan.precision: _metrics(shipped, labels),
    }
    return Accuracy(metrics, drops, HeldOut(names, labels, reference, shipped))


def stage_scorers(
    plan: ExportPlan,
    source: Source,
    networks: Networks,
    folder: Path,
    shape: tuple[int, int, int, int],
) -> dict[str, Scorer]:
    """Return a scorer for each stage from torch to what ships, for slices of one shape."""
    scorers = {
        TORCH: torch_scorer(source.model),
        ONNX: onnx_scorer(folder / ONNX_FILE),
        IR_FLOAT: openvino_scorer(networks.reference, shape),
    }
    if plan.precision is not Precision.FP32:
        shipped = openvino_scorer(networks.shipped.model, shape)
        scorers[shipped_stage(plan.precision)] = shipped
    if (folder / ONNX_INT8_FILE).exists():
        scorers[f"ONNX {Precision.INT8}"] = onnx_scorer(folder / ONNX_INT8_FILE)
    return scorers


def shipped_stage(precision: Precision) -> str:
    """Name the stage whose network ships."""
    return IR_FLOAT if precision is Precision.FP32 else f"IR {precision}"


def parity_patients(source: Source) -> list[PreparedPatient]:
    """Return the held-out patients that go through every stage."""
    return source.patients[Split.TEST][:PARITY_PATIENTS]


def known_stages(plan: ExportPlan, held_out: HeldOut) -> StageScores:
    """Return the stages that have scored the parity patients already, among all test patients."""
    return {
        IR_FLOAT: held_out.reference.scores[:PARITY_PATIENTS],
        shipped_stage(plan.precision): held_out.shipped.scores[:PARITY_PATIENTS],
    }


def judge_parity(source: Source, networks: Networks, stages: StageScores) -> dict[str, Parity]:
    """Compare the stages on cached test patients.

    Raises:
        GateFailed: Engines that compute in float disagree.
    """
    require_float_agreement(largest_difference(stages[ONNX], stages[IR_FLOAT]), [ONNX, IR_FLOAT])
    require_float_agreement(largest_difference(stages[TORCH], stages[IR_FLOAT]), [TORCH, IR_FLOAT])
    labels = [patient.truth.labels for patient in parity_patients(source)]
    rule = networks.shipped.validation.rule
    return {name: compare(stages[TORCH], scores, rule, labels) for name, scores in stages.items()}


def judge_instruction_sets(source: Source, networks: Networks, folder: Path) -> Sweep:
    """Play the instruction sets of this machine on held-out slices, at twice their size.

    Raises:
        GateFailed: Two of them disagree.
    """
    patients = [_large_slices(source, patient) for patient in parity_patients(source)]
    model = networks.shipped.model
    scores = [_score_large(model, slices_hu) for slices_hu in patients]
    reference = Decided(scores, networks.shipped.validation.rule)
    swept = sweep(reference, played_by_process(folder, patients), isas=available_isas())
    require_same_answers(swept)
    return swept


def upscaled(slices_hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Show a slice [..., h, w] twice as large; window and resize give the same picture back."""
    return slices_hu.repeat(UPSCALING, axis=-1).repeat(UPSCALING, axis=-2)


def _large_slices(source: Source, patient: PreparedPatient) -> NDArray[np.float32]:
    numbers = range(0, patient.slice_count, SWEEP_STRIDE)
    return upscaled(np.concatenate([source.slice_hu(patient, number) for number in numbers]))


def _score_large(model: ov.Model, slices_hu: NDArray[np.float32]) -> NDArray[np.float32]:
    scorer = openvino_scorer(model, (1, *slices_hu.shape[1:]))
    return scorer(part[np.newaxis] for part in slices_hu)


def _metrics(decided: Decided, labels: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    return evaluate_scores(decided.scores, labels, decided.rule)
