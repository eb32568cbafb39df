# SPDX-License-Identifier: Apache-2.0
"""Scores of one patient by a network, and the metrics of scores at both levels."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.judging.answers import answer, evaluate_answers
from aminet_train.networks.late_fusion import SliceLook
from aminet_train.slice_window import SINGLE_SLICE, SliceWindow
from aminet_train.thresholds import ChosenRule

BATCH_SIZE = 32

_Number = TypeVar("_Number", np.int32, np.intp)


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
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        answers = _by_features if window.late_fusion else _by_images
        parts = list(answers(network, patient, numbers, window))
    network.train(was_training)
    return np.concatenate([logits.float().sigmoid().numpy() for logits in parts])


def _by_images(
    network: nn.Module, patient: PreparedPatient, numbers: NDArray[np.int32], window: SliceWindow
) -> Iterator[Tensor]:
    images = patient.images()
    for batch in _batches(numbers):
        logits, _evidence = network(patient.inputs(batch, window, images=images))
        yield logits


def _by_features(
    network: nn.Module, patient: PreparedPatient, numbers: NDArray[np.int32], window: SliceWindow
) -> Iterator[Tensor]:
    """Look at each slice once, whatever windows it is in."""
    images = patient.images()
    wanted = patient.neighbours(numbers, window)
    seen = np.unique(wanted)
    looks = [
        network.look(patient.inputs(batch, SINGLE_SLICE, images=images))  # type: ignore[operator]
        for batch in _batches(seen)
    ]
    look = SliceLook(*(torch.cat(parts) for parts in zip(*looks, strict=True)))
    for places in _batches(np.searchsorted(seen, wanted)):
        middle = SliceLook(*(part[places[:, window.size // 2]] for part in look))
        logits, _evidence = network.head.conclude(middle, look.features[places])  # type: ignore[operator,union-attr]
        yield logits


def _batches(items: NDArray[_Number]) -> Iterator[NDArray[_Number]]:
    for start in range(0, len(items), BATCH_SIZE):
        yield items[start : start + BATCH_SIZE]


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
