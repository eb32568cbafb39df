# SPDX-License-Identifier: Apache-2.0
"""Scores of prepared patients, and their metrics at both levels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aminet_runtime.decision import region_probabilities
from aminet_runtime.errors import InputInconsistent, InputMissing
from aminet_runtime.regions import REGION_COUNT
from aminet_train.checkpoint import load_info, load_network
from aminet_train.metrics import Counts, average_precision, count, f1_interval
from aminet_train.patients import gather_patients
from aminet_train.prepared import PreparedPatient
from aminet_train.preprocessing import SINGLE_SLICE, SliceWindow
from aminet_train.splits import Split
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
    if not patient.is_complete:
        raise InputInconsistent(
            f"patient {patient.patient_id} was prepared with some slices only",
            hint="prepare validation and test patients with all slices",
        )
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
    truth = [patient.astype(bool) for patient in labels]
    slice_flags = [patient >= rule.slice_threshold for patient in scores]
    reached = np.stack([region_probabilities(p, rule.min_consecutive_slices) for p in scores])
    affected = np.stack([patient.any(axis=0) for patient in truth])
    flagged = reached >= np.array(rule.patient_thresholds)
    return {
        "patients": len(scores),
        "slice": {
            **_level([count(f, t) for f, t in zip(slice_flags, truth, strict=True)]),
            "threshold": rule.slice_threshold,
            "average_precision": average_precision(np.concatenate(scores), np.concatenate(truth)),
        },
        "patient": {
            **_level([count(f, t) for f, t in zip(flagged, affected, strict=True)]),
            "thresholds": list(rule.patient_thresholds),
            "average_precision": average_precision(reached, affected),
            "exact": float((flagged == affected).all(axis=1).mean()),
        },
        "per_region": [
            {"index": region, **count(flagged[:, region], affected[:, region]).to_json()}
            for region in range(REGION_COUNT)
        ],
    }


def _level(per_patient: Sequence[Counts]) -> dict[str, Any]:
    total = Counts(
        tp=sum(counts.tp for counts in per_patient),
        fp=sum(counts.fp for counts in per_patient),
        fn=sum(counts.fn for counts in per_patient),
        tn=sum(counts.tn for counts in per_patient),
    )
    return {**total.to_json(), "f1_ci95": list(f1_interval(per_patient))}


def evaluate_checkpoint(checkpoint: Path, roots: Sequence[Path], split: Split) -> dict[str, Any]:
    """Score a split of prepared cohorts with a checkpoint and its own decision rule.

    Returns:
        `split`, `approach`, `leaking`, `patients`, and what `evaluate_scores` gives.

    Raises:
        InputMissing: The split has no patients.
    """
    info = load_info(checkpoint)
    network = load_network(checkpoint, info)
    cohort, by_split = gather_patients(roots)
    patients = by_split[split]
    if not patients:
        raise InputMissing(f"there are no {split} patients", hint="check --data and --split")
    scores = [score_patient(network, patient) for patient in patients]
    report = evaluate_scores(scores, [p.labels_here for p in patients], info.rule)
    return {
        "split": split.value,
        "approach": info.approach.value,
        "leaking": cohort.leaking,
        **report,
    }
