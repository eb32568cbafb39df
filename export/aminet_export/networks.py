# SPDX-License-Identifier: Apache-2.0
"""The networks of an export: float, and what ships after quantising and accuracy control."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from aminet_export.accuracy import Decided, f1_drops
from aminet_export.calibration import (
    CalibrationSlice,
    calibration_hu,
    choose_calibration,
    require_training_only,
)
from aminet_export.layers import LayerGain, rank_layers
from aminet_export.openvino_ir import read, save
from aminet_export.openvino_scorer import openvino_scorer
from aminet_export.plan import ExportPlan
from aminet_export.quantize import quantize
from aminet_export.restore import Restored, Validation, restore_accuracy
from aminet_export.source import Source
from aminet_runtime.metadata import Precision
from aminet_train.cohort.splits import Split

RANKING_SLICES = 24
"""Enough to tell a layer that makes half of the error from one that makes a hundredth."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Float, and what ships.

    Attributes:
        reference: The float network in OpenVINO.
        reference_decided: Its scores on validation patients, and the rule chosen on them.
        shipped: What ships, and what it loses on validation patients.
        calibration: Slices that calibrated INT8; empty for float.
        rank: Orders the layers of the fully quantised network; takes a while.
    """

    reference: ov.Model
    reference_decided: Decided
    shipped: Restored
    calibration: Sequence[CalibrationSlice]
    rank: Callable[[], list[LayerGain]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that may ship.

    Attributes:
        model: Quantised, or the float network itself.
        calibration: Slices that calibrated it; empty for float.
    """

    model: ov.Model
    calibration: Sequence[CalibrationSlice]


def calibrate_and_quantise(plan: ExportPlan, source: Source, reference: ov.Model) -> Candidate:
    """Quantise with slices of training patients, proven not to be held out."""
    if plan.precision is not Precision.INT8:
        return Candidate(reference, ())
    training = source.patients[Split.TRAIN]
    calibration = choose_calibration(
        training, source.info.window, count=plan.calibration_slices, seed=plan.seed
    )
    require_training_only(calibration, source.patients)
    quantised = quantize(reference, calibration, source.model.preprocessing)
    return Candidate(quantised, calibration)


def settle_network(
    plan: ExportPlan,
    source: Source,
    reference: ov.Model,
    candidate: Candidate,
    *,
    folder: Path,
) -> Networks:
    """Choose rules on validation patients, and let accuracy control mend what loses too much.

    What ships is written and read back before it is scored: fp16 weights are rounded by that.
    """
    save(candidate.model, folder, plan.precision)
    scores = source.score(reference, Split.VALIDATION)
    labels = source.labels(Split.VALIDATION)
    decided = Decided(scores, source.choose_rule(scores, labels))
    validation = Validation(source.validation_scorer(), labels, decided, plan.max_drop)
    first = _judge_first(plan, read(folder), validation)
    rank = _ranking(source, first.model, reference, candidate.calibration)
    shipped = first
    if plan.precision is Precision.INT8 and not validation.is_enough(first):
        again = _quantise_without(source, reference, candidate.calibration)
        shipped = restore_accuracy(first, rank(), again, validation)
        save(shipped.model, folder, plan.precision)
    return Networks(reference, decided, shipped, candidate.calibration, rank)


def _judge_first(plan: ExportPlan, candidate: ov.Model, validation: Validation) -> Restored:
    if plan.precision is not Precision.FP32:
        return validation.judge(candidate)
    drops = f1_drops(validation.reference, validation.reference, validation.labels)
    return Restored(candidate, (), validation.reference, drops)


def _quantise_without(
    source: Source, reference: ov.Model, calibration: Sequence[CalibrationSlice]
) -> Callable[[Sequence[str]], ov.Model]:
    preprocessing = source.model.preprocessing
    return lambda names: quantize(reference, calibration, preprocessing, float_layers=names)


def _ranking(
    source: Source,
    quantised: ov.Model,
    reference: ov.Model,
    calibration: Sequence[CalibrationSlice],
) -> Callable[[], list[LayerGain]]:
    slices = [calibration_hu(c, source.model.preprocessing) for c in calibration[:RANKING_SLICES]]

    def probabilities(model: ov.Model) -> NDArray[np.float32]:
        return openvino_scorer(model, source.cached_shape)(slices)

    @cache  # restoring and refusing both ask
    def rank() -> list[LayerGain]:
        return rank_layers(quantised, reference, probabilities, on_progress=source.on_progress)

    return rank
