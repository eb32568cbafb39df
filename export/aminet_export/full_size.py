# SPDX-License-Identifier: Apache-2.0
"""A patient folder at full size: all stages, and the graph's preprocessing against the cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_export import spiral_check
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
from aminet_export.spiral_check import require_same_maxima

CHECKED_STRIDE = 16
"""Window and resize are the same for all slices; some are enough where the cache is looked at."""


@dataclass(frozen=True, slots=True)
class FullSize:
    """What full-size slices say.

    Attributes:
        parity: Stage to its distance from torch; empty without a patient folder.
        preprocessing_difference: Of the graph to the cache, in the units of the network's input;
            for the SPIRAL threshold of the maxima that the graph finds to the prepared ones.
    """

    parity: Mapping[str, Parity]
    preprocessing_difference: float


def judge_full_size(plan: ExportPlan, source: Source, networks: Networks, folder: Path) -> FullSize:
    """Compare the stages on a patient folder, if one was named; else look at the cache alone.

    Raises:
        GateFailed: Engines that compute in float disagree, or the preprocessing does.
    """
    patient = plan.parity_patient
    scores: Mapping[str, NDArray[np.float32]] = {}
    if patient is not None:
        scores = score_folder(
            source.folder_slices(patient),
            lambda shape: stage_scorers(plan, source, networks, folder, shape),
        )
    parity = _compare_stages(scores, networks)
    if source.is_spiral:
        difference = _maxima_difference(patient, scores, source, networks)
        require_same_maxima(difference)
    else:
        difference = _preprocessing_difference(patient, source, networks)
        require_same_preprocessing(difference)
    return FullSize(parity, difference)


def _compare_stages(
    scores: Mapping[str, NDArray[np.float32]], networks: Networks
) -> dict[str, Parity]:
    if not scores:
        return {}
    apart = largest_difference([scores[ONNX]], [scores[IR_FLOAT]])
    require_float_agreement(apart, [ONNX, IR_FLOAT])
    rule = networks.shipped.validation.rule
    return {name: compare([scores[TORCH]], [s], rule) for name, s in scores.items()}


def _maxima_difference(
    patient: Path | None,
    scores: Mapping[str, NDArray[np.float32]],
    source: Source,
    networks: Networks,
) -> float:
    model = networks.shipped.model
    drawn = spiral_check.drawn_difference(model, source, parity_patients(source))
    if patient is None:
        return drawn
    return max(drawn, spiral_check.folder_difference(scores[IR_FLOAT], source, patient))


def _preprocessing_difference(patient: Path | None, source: Source, networks: Networks) -> float:
    if patient is None:
        return _cached_difference(source, networks)
    return folder_difference(networks.shipped.model, source, patient)


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
