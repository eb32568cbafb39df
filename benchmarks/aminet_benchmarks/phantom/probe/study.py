# SPDX-License-Identifier: Apache-2.0
"""The study of shortcuts: probes and baselines on the same new patients, in one table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.probe.baselines import commonest_at_height, commonest_regions
from aminet_benchmarks.phantom.probe.examples import (
    CONTROL,
    MASKED,
    SHOWN,
    ProbePatient,
    probe_patients,
)
from aminet_benchmarks.phantom.probe.networks import (
    Table,
    guess_from_features,
    guess_from_images,
)
from aminet_benchmarks.phantom.probe.scores import METRICS, Measured, measured
from aminet_runtime.regions import REGION_COUNT

Field = NDArray[np.float32]
Progress = Callable[[int, int], None]

SHAPE = (256, 256, 64)  # low resolution is enough to see tissue and large vessels
TRAIN_SEED, TEST_SEED = 910_000, 920_000  # of the first patients
IMAGE_EPOCHS, POSE_EPOCHS = 12, 30
COMMONEST, AT_HEIGHT, POSE = "commonest regions", "commonest at this height", "height and pose"
SPIRAL = "highest value of the map"  # what the tissue tells to a threshold


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What to study.

    Attributes:
        config: What the patients are drawn from; rows and columns must be multiples of 64.
        train_patients: How many the probes learn from.
        test_patients: How many new ones they guess.
        jobs: Processes that make patients.
        seed: Seed of the networks.
    """

    config: PhantomConfig
    train_patients: int = 150
    test_patients: int = 60
    jobs: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Guess:
    """What one probe or baseline guesses of the test patients.

    Attributes:
        slices: float32 [patients, S, 15].
        patients: float32 [patients, 15].
    """

    slices: Field
    patients: Field


Row = dict[str, Measured]


def study(plan: StudyPlan, *, on_progress: Progress) -> dict[str, Row]:
    """Make patients, let all guess, and measure.

    Returns:
        By probe or baseline, AP and best F1 at both levels and the gain over what it is held
        against: at slice level the commonest regions at that height, at patient level the
        commonest regions.
    """
    total = plan.train_patients + plan.test_patients
    seeds = [TRAIN_SEED + n for n in range(plan.train_patients)]
    seeds += [TEST_SEED + n for n in range(plan.test_patients)]
    patients = []
    for made in probe_patients(seeds, plan.config, jobs=plan.jobs):
        patients.append(made)
        on_progress(len(patients), total)
    train, test = patients[: plan.train_patients], patients[plan.train_patients :]
    return measure_guesses(guesses(train, test, seed=plan.seed), test)


def guesses(
    train: Sequence[ProbePatient], test: Sequence[ProbePatient], *, seed: int
) -> dict[str, Guess]:
    """Let the baselines and the probes guess."""
    made = {COMMONEST: _commonest(train, test), AT_HEIGHT: _at_height(train, test)}
    made[SPIRAL] = _by_map(test)
    features = (_table(train, None), _table(test, None))
    made[POSE] = _by_patient(
        guess_from_features(*features, epochs=POSE_EPOCHS, seed=seed), len(test)
    )
    for kind in (CONTROL, MASKED, SHOWN):
        images = (_table(train, kind), _table(test, kind))
        logits = guess_from_images(*images, epochs=IMAGE_EPOCHS, seed=seed)
        made[kind] = _by_patient(logits, len(test))
    return made


def measure_guesses(made: dict[str, Guess], test: Sequence[ProbePatient]) -> dict[str, Row]:
    """Measure all guesses at both levels, and the gain over what can be had without looking."""
    slice_truth = np.stack([patient.slice_labels for patient in test])
    patient_truth = np.stack([patient.patient_labels for patient in test])
    rows: dict[str, Row] = {}
    for name, guess in made.items():
        row = rows.setdefault(name, {})
        for metric_name, metric in METRICS.items():
            for level, scores, truth, base in (
                ("slice", guess.slices, slice_truth, made[AT_HEIGHT].slices),
                ("patient", guess.patients, patient_truth, made[COMMONEST].patients),
            ):
                row[f"{level} {metric_name}"] = measured(metric, scores, truth)
                gain = measured(metric, scores, truth, against=base)
                row[f"{level} {metric_name}, gain"] = gain
    return rows


def study_table(rows: dict[str, Row]) -> str:
    """Return the figures, one probe or baseline a line."""
    columns = list(next(iter(rows.values())))
    lines = ["| guess | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(str(row[column]) for column in columns) + " |")
    return "\n".join(lines) + "\n"


def _commonest(train: Sequence[ProbePatient], test: Sequence[ProbePatient]) -> Guess:
    slice_labels = np.concatenate([patient.slice_labels for patient in train])
    patient_labels = np.stack([patient.patient_labels for patient in train])
    shape = (len(test), len(test[0].slice_labels), REGION_COUNT)
    return Guess(
        slices=commonest_regions(slice_labels, shape),
        patients=commonest_regions(patient_labels, (shape[0], shape[2])),
    )


def _by_map(test: Sequence[ProbePatient]) -> Guess:
    slices = np.stack([patient.spiral for patient in test])
    return Guess(slices=slices, patients=slices.max(axis=1))


def _at_height(train: Sequence[ProbePatient], test: Sequence[ProbePatient]) -> Guess:
    labels = np.concatenate([patient.slice_labels for patient in train])
    height = np.concatenate([patient.pose[:, 0] for patient in train])
    asked = np.stack([patient.pose[:, 0] for patient in test])
    return Guess(
        slices=commonest_at_height(labels, height, asked),
        patients=_commonest(train, test).patients,
    )


def _table(patients: Sequence[ProbePatient], kind: str | None) -> Table:
    """Lay slices of all patients under each other: images of a kind, or the pose."""
    inputs = [patient.pose if kind is None else patient.images[kind] for patient in patients]
    labels = [
        np.hstack([p.slice_labels, np.broadcast_to(p.patient_labels, p.slice_labels.shape)])
        for p in patients
    ]
    return Table(
        inputs=torch.from_numpy(np.concatenate(inputs)),
        height=torch.from_numpy(np.concatenate([patient.pose[:, 0] for patient in patients])),
        labels=torch.from_numpy(np.concatenate(labels).astype(np.float32)),
    )


def _by_patient(logits: Field, patients: int) -> Guess:
    """Split logits [patients x S, 30]; a patient's own are the mean over its slices."""
    by_slice = logits.reshape(patients, -1, 2, REGION_COUNT)
    return Guess(slices=by_slice[:, :, 0].copy(), patients=by_slice[:, :, 1].mean(axis=1))
