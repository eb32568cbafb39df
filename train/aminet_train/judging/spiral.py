# SPDX-License-Identifier: Apache-2.0
"""The source report's baseline: a threshold on the SPIRAL map, fitted on training patients.

A region's score is the highest SPIRAL value under it, so "some pixel of the region is above t" is
"its score is above t". The scores are in the cache of any prepared cohort, whatever its channels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import region_probabilities
from aminet_runtime.errors import InputMissing
from aminet_runtime.patient import Channel
from aminet_runtime.regions import REGION_COUNT
from aminet_train.checkpoint import CheckpointInfo, save_checkpoint
from aminet_train.cohort.patients import PatientsBySplit, gather_patients
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.judging.answers import affected_regions
from aminet_train.judging.curves import sweep
from aminet_train.judging.evaluate import evaluate_scores
from aminet_train.networks import Approach
from aminet_train.networks.spiral import SpiralConfig, SpiralMaximum
from aminet_train.plain_run import free_checkpoint_folder, write_plain_config
from aminet_train.preprocessing import SPIRAL_WINDOW, PreprocessingConfig
from aminet_train.provenance import git_commit, tool_versions
from aminet_train.thresholds import ChosenRule, best_threshold

ATLAS_RANGE = (0.0, float(REGION_COUNT - 1))
LOWEST_THRESHOLD = 1e-3
"""A threshold of 0 would flag everything; one step of the map on disk is smaller than this."""


def train_spiral(data: Sequence[Path], run: Path) -> Path:
    """Fit the SPIRAL threshold on training patients and write its checkpoint.

    Args:
        data: Prepared cohorts of patients with a SPIRAL map; their channels do not matter.
        run: Folder for the checkpoint; must not hold one yet.

    Returns:
        The checkpoint's folder.

    Raises:
        InputMissing: There are no training patients, or one has no SPIRAL map.
        UsageError: The run has a checkpoint already.
    """
    target = free_checkpoint_folder(run)
    cohort, patients = gather_patients(data)
    if not patients[Split.TRAIN]:
        raise InputMissing("there are no train patients", hint="prepare more patients")
    info = _describe(cohort, patients, names=[root.name for root in data])
    write_plain_config(run, Approach.SPIRAL, data)
    save_checkpoint(target, SpiralMaximum(SpiralConfig()), info)
    return target


def spiral_scores(patient: PreparedPatient) -> NDArray[np.float32]:
    """Return the scores float32 [m, 15] of the patient's slices in this split.

    Raises:
        InputMissing: The patient has no SPIRAL map.
    """
    if patient.truth.spiral is None:
        raise InputMissing(
            f"patient {patient.patient_id} has no SPIRAL map",
            path=patient.folder,
            hint="prepare patients with SpiralregA and ATLASMASKregA",
        )
    return patient.truth.spiral[patient.slices]


def fit_threshold(
    scores: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]]
) -> ChosenRule:
    """Choose the threshold with the best F1 at each level; one for all regions, as in the report.

    Args:
        scores: For each training patient, [m, 15].
        labels: For each training patient, [m, 15].
    """
    reached = np.stack([region_probabilities(patient, 1) for patient in scores])
    affected = np.stack([affected_regions(patient) for patient in labels])
    for_patients, _f1 = best_threshold(reached, affected)
    for_slices, _f1 = best_threshold(np.concatenate(scores), np.concatenate(labels).astype(bool))
    return ChosenRule(
        patient_thresholds=(max(for_patients, LOWEST_THRESHOLD),) * REGION_COUNT,
        slice_threshold=max(for_slices, LOWEST_THRESHOLD),
        min_consecutive_slices=1,
    )


def sweep_table(
    scores: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]]
) -> list[dict[str, float]]:
    """Return the report's table: threshold, precision, recall, accuracy, F1 at patient level."""
    reached = np.stack([region_probabilities(patient, 1) for patient in scores])
    affected = np.stack([affected_regions(patient) for patient in labels])
    return [
        {"threshold": threshold, **counts.to_json()}
        for threshold, counts in sweep(reached, affected)
    ]


def _describe(
    cohort: PreparedCohort, patients: PatientsBySplit, *, names: Sequence[str]
) -> CheckpointInfo:
    scores = [spiral_scores(patient) for patient in patients[Split.TRAIN]]
    labels = [patient.labels_here for patient in patients[Split.TRAIN]]
    rule = fit_threshold(scores, labels)
    return CheckpointInfo(
        approach=Approach.SPIRAL,
        network=SpiralConfig(),
        preprocessing=_preprocessing(patients[Split.TRAIN]),
        regions=cohort.regions,
        rule=rule,
        training={
            "config": {"approach": Approach.SPIRAL.value, "data": list(names)},
            "data": {split: _fingerprints(group) for split, group in patients.items()},
            "train": evaluate_scores(scores, labels, rule),
            "sweep": sweep_table(scores, labels),
            "versions": tool_versions(),
            "git_commit": git_commit(),
        },
        leaking=cohort.leaking,
    )


def _preprocessing(patients: Sequence[PreparedPatient]) -> PreprocessingConfig:
    """Say what the model reads; nothing is resized, so the size is that of the scans."""
    columns, rows, _count = np.median([patient.scan.shape for patient in patients], axis=0)
    return PreprocessingConfig(
        channels=(Channel.SPIRAL, Channel.ATLAS),
        views_hu=((SPIRAL_WINDOW,), (ATLAS_RANGE,)),
        size_px=(int(rows), int(columns)),
    )


def _fingerprints(patients: Sequence[PreparedPatient]) -> Mapping[str, Any]:
    return {"count": len(patients), "fingerprints": sorted(p.fingerprint for p in patients)}
