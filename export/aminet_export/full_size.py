# SPDX-License-Identifier: Apache-2.0
"""A patient folder at full size: all stages, and the graph's preprocessing against the cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_export.gate import require_float_agreement
from aminet_export.judge import IR_FLOAT, ONNX, TORCH, parity_patients, stage_scorers, upscaled
from aminet_export.networks import Networks
from aminet_export.parity import Parity, compare, largest_difference
from aminet_export.plan import ExportPlan
from aminet_export.preprocessing_check import (
    folder_difference,
    network_input,
    require_same_preprocessing,
)
from aminet_export.scoring import score_folder
from aminet_export.source import Source

CHECKED_STRIDE = 16
"""Window and resize are the same for all slices; some are enough where the cache is looked at."""


@dataclass(frozen=True, slots=True)
class FullSize:
    """What full-size slices say.

    Attributes:
        parity: Stage to its distance from torch; empty without a patient folder.
        preprocessing_difference: Of the graph to the cache, in the units of the network's input.
    """

    parity: Mapping[str, Parity]
    preprocessing_difference: float


def judge_full_size(plan: ExportPlan, source: Source, networks: Networks, folder: Path) -> FullSize:
    """Compare the stages on a patient folder, if one was named; else look at the cache alone.

    Raises:
        GateFailed: Engines that compute in float disagree, or the preprocessing does.
    """
    model = networks.shipped.model
    if plan.parity_patient is None:
        difference = _cached_difference(source, networks)
        parity: Mapping[str, Parity] = {}
    else:
        difference = folder_difference(model, source, plan.parity_patient)
        parity = _folder_parity(plan.parity_patient, plan, source, networks, folder=folder)
    require_same_preprocessing(difference)
    return FullSize(parity, difference)


def _folder_parity(
    patient: Path, plan: ExportPlan, source: Source, networks: Networks, *, folder: Path
) -> dict[str, Parity]:
    scores = score_folder(
        patient,
        source.model.preprocessing,
        source.info.preprocessing.channels,
        lambda shape: stage_scorers(plan, source, networks, folder, shape),
    )
    apart = largest_difference([scores[ONNX]], [scores[IR_FLOAT]])
    require_float_agreement(apart, [ONNX, IR_FLOAT])
    rule = networks.shipped.validation.rule
    return {name: compare([scores[TORCH]], [s], rule) for name, s in scores.items()}


def _cached_difference(source: Source, networks: Networks) -> float:
    """Show cached slices twice as large: window and resize must give the cached picture back."""
    largest, run = 0.0, None
    for patient in parity_patients(source):
        for number in range(0, patient.slice_count, CHECKED_STRIDE):
            slices_hu = upscaled(source.slice_hu(patient, number))
            run = run or network_input(networks.shipped.model, _shape(slices_hu))
            if run is None:
                return 0.0
            apart = np.abs(run(slices_hu) - source.cached_planes(patient, number))
            largest = max(largest, float(apart.max()))
    return largest


def _shape(slices_hu: NDArray[np.float32]) -> tuple[int, int, int, int]:
    _one, planes, height, width = slices_hu.shape
    return (1, planes, height, width)
