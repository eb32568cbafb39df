# SPDX-License-Identifier: Apache-2.0
"""Scores of one patient by a network, and the metrics of scores at both levels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.judging.answers import answer, evaluate_answers
from aminet_train.preprocessing import SINGLE_SLICE, SliceWindow
from aminet_train.thresholds import ChosenRule

BATCH_SIZE = 32


def score_patient(
    network: nn.Module,
    patient: PreparedPatient,
    window: SliceWindow = SINGLE_SLICE,
    *,
    stride: int = 1,
) -> NDArray[np.float32]:
    """Score every stride-th slice of a patient that belongs to his split.

    Args:
        network: Input 0..1 to logits and evidence; put into eval mode and back.
        patient: With the images of all slices.
        window: Neighbours that the network looks at.
        stride: 1 scores all.

    Returns:
        Probabilities float32 [ceil(m / stride), 15].

    Raises:
        InputInconsistent: Only some slices of this patient were kept.
    """
    patient.require_complete()
    numbers = patient.slices[::stride]
    images = patient.images()
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        parts = [
            network(patient.inputs(numbers[start : start + BATCH_SIZE], window, images=images))
            for start in range(0, len(numbers), BATCH_SIZE)
        ]
    network.train(was_training)
    return np.concatenate([logits.float().sigmoid().numpy() for logits, _evidence in parts])


def evaluate_scores(
    scores: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.uint8]],
    rule: ChosenRule,
) -> dict[str, Any]:
    """Compare scores with truth at slice and patient level.

    Args:
        scores: For each patient, [Z, 15].
        labels: For each patient, [Z, 15].
        rule: Chosen on validation.

    Returns:
        `slice` and `patient`, each with counts, shares, F1 interval and average precision, and
        `per_region` with the patient-level counts of each region.
    """
    report = evaluate_answers([answer(patient, rule) for patient in scores], labels)
    report["slice"]["threshold"] = rule.slice_threshold
    report["patient"]["thresholds"] = list(rule.patient_thresholds)
    return report
