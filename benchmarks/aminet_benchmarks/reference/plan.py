# SPDX-License-Identifier: Apache-2.0
"""The stages of the study as data: what is typed, in which order, and what it leaves behind."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aminet_benchmarks.reference.networks import (
    MEMBERS,
    PRETRAINED,
    TRAININGS,
    TWIN_TESTED,
    Training,
    prepared_name,
)
from aminet_benchmarks.reference.stage import Again, Stage

COHORT = "cohort"
TWINS = "twins"
PREPARED_TWINS = "prepared-twins"
PREPARED_NEW = "prepared-new"
NEW_PATIENTS = "new-patients"
"""The name of unseen patients in an evaluation by slices."""

SPIRAL = "spiral"
ENSEMBLE = "ensemble"
BY_PATIENT_EVALUATION = "by-patient"
BY_SLICE_EVALUATION = "by-slice"
TWIN_EVALUATION = "twins"


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """What a study is made of.

    Attributes:
        patients: Of the cohort; as many as the source report had.
        seed: Of the cohort.
        new_patients: Of a second cohort, which networks that learned by slices have not seen.
        new_seed: Of that cohort.
        split_seed: Of the splits.
        shape: Columns, rows and slices; None for the preset's.
        size_px: Of the networks' input.
        most_epochs: Limit for every network; None for none.
        weights: Of MobileNetV2 at the start, as `aminet-train --weights`.
        padding: Of MobileNetV2, as `aminet-train --padding`; it belongs to the weights.
        precision: Arithmetic of training, as `aminet-train --precision`.
        threads: Of training.
        jobs: Processes that make and prepare patients.
    """

    patients: int = 127
    seed: int = 500
    new_patients: int = 25
    new_seed: int = 501
    split_seed: int = 1
    shape: tuple[int, int, int] | None = None
    size_px: int = 128
    most_epochs: int | None = None
    weights: str = "imagenet"
    padding: str = "symmetric"
    precision: str = "32-true"
    threads: int = 1
    jobs: int = 1


QUICK = StudyConfig(patients=24, new_patients=4, shape=(128, 128, 64), size_px=64, most_epochs=1)
"""Small enough for minutes; its figures mean nothing."""


def study_stages(config: StudyConfig) -> tuple[Stage, ...]:
    """List the stages in an order in which each finds what it needs.

    A cohort is prepared right before the first training that wants it.
    """
    return (
        _cohort(config),
        *_trainings(config),
        _spiral(),
        _ensemble(),
        *_twins(config),
        _new_patients(config),
        *_evaluations(),
    )


def training_stage(config: StudyConfig, training: Training) -> Stage:
    """Return the stage that trains a network."""
    epochs = min(training.epochs, config.most_epochs or training.epochs)
    starts = training.model == PRETRAINED
    weights = ("--weights", config.weights, "--padding", config.padding) if starts else ()
    return Stage(
        name=f"train-{training.name}",
        command=(
            *("aminet-train", "--model", training.model, "--data", training.prepared),
            *("--run", str(run_folder(training.name)), "--epochs", str(epochs)),
            *(*weights, *training.settings),
            *("--precision", config.precision, "--threads", str(config.threads)),
        ),
        output=run_folder(training.name),
        again=Again.RESUME,
    )


def run_folder(name: str) -> Path:
    """Return the folder of a run."""
    return Path("runs") / name


def evaluation_folder(name: str) -> Path:
    """Return the folder of an evaluation."""
    return Path("evaluation") / name


def _cohort(config: StudyConfig) -> Stage:
    return Stage(
        name="cohort",
        command=("aminet-phantom", COHORT, *_phantoms(config, config.patients, config.seed)),
        output=Path(COHORT),
    )


def _phantoms(config: StudyConfig, patients: int, seed: int) -> tuple[str, ...]:
    shape = ("--shape", *map(str, config.shape)) if config.shape else ()
    return (
        *("--patients", str(patients), "--seed", str(seed), "--preset", "report"),
        *(*shape, "--jobs", str(config.jobs)),
    )


def _trainings(config: StudyConfig) -> Iterator[Stage]:
    prepared: set[str] = set()
    for training in TRAININGS:
        if training.prepared not in prepared:
            prepared.add(training.prepared)
            yield _prepare(config, training)
        yield training_stage(config, training)


def _prepare(config: StudyConfig, training: Training) -> Stage:
    split = ("--split-by", "slice") if training.by_slice else ()
    return _prepared(config, COHORT, training.prepared, training.channels, split)


def _prepared(
    config: StudyConfig, cohort: str, output: str, channels: str, split: tuple[str, ...] = ()
) -> Stage:
    return Stage(
        name=output,
        command=(
            *("aminet-prepare", cohort, "-o", output, "--channels", channels),
            *("--size", str(config.size_px), *split, "--seed", str(config.split_seed)),
            *("--jobs", str(config.jobs)),
        ),
        output=Path(output),
    )


def _spiral() -> Stage:
    return Stage(
        name="train-spiral",
        command=(
            *("aminet-train", "--model", SPIRAL, "--data", prepared_name("cta")),
            *("--run", str(run_folder(SPIRAL))),
        ),
        output=run_folder(SPIRAL),
        again=Again.ANEW,
    )


def _ensemble() -> Stage:
    members = (str(run_folder(name) / "checkpoint") for name in MEMBERS)
    return Stage(
        name="ensemble",
        command=(
            *("aminet-train", "--model", ENSEMBLE, "--members", *members),
            *("--run", str(run_folder(ENSEMBLE))),
        ),
        output=run_folder(ENSEMBLE),
        again=Again.ANEW,
    )


def _twins(config: StudyConfig) -> Iterator[Stage]:
    """Make the test patients once more without their clots."""
    yield Stage(
        name="twins",
        command=(
            *("aminet-phantom", TWINS, *_phantoms(config, config.patients, config.seed)),
            *("--twin", "none", "--tested-by", prepared_name("cta")),
        ),
        output=Path(TWINS),
    )
    yield _prepared(config, TWINS, PREPARED_TWINS, "cta")


def _new_patients(config: StudyConfig) -> Stage:
    return Stage(
        name=PREPARED_NEW,
        command=(
            *("aminet-phantom", "prepare", PREPARED_NEW),
            *_phantoms(config, config.new_patients, config.new_seed),
            *("--channels", "cta", "--size", str(config.size_px), "--split", "test"),
        ),
        output=Path(PREPARED_NEW),
    )


def _evaluations() -> Iterator[Stage]:
    by_patient = [one for one in TRAININGS if not one.by_slice]
    channels = dict.fromkeys(one.channels for one in by_patient)
    yield _evaluation(
        BY_PATIENT_EVALUATION,
        [SPIRAL, *(one.name for one in by_patient), ENSEMBLE],
        "--data",
        *map(prepared_name, channels),
    )
    yield _evaluation(
        TWIN_EVALUATION,
        [SPIRAL, *TWIN_TESTED],
        *("--data", prepared_name("cta"), "--twins", PREPARED_TWINS),
    )
    yield _evaluation(
        BY_SLICE_EVALUATION,
        [one.name for one in TRAININGS if one.by_slice],
        *("--data", prepared_name("cta", by_slice=True)),
        *("--compare", f"{NEW_PATIENTS}={PREPARED_NEW}"),
    )


def _evaluation(name: str, runs: list[str], *patients: str) -> Stage:
    models = (
        str(run_folder(run) if run == ENSEMBLE else run_folder(run) / "checkpoint") for run in runs
    )
    folder = evaluation_folder(name)
    return Stage(
        name=f"evaluate-{name}",
        command=("aminet-evaluate", *models, *patients, "-o", str(folder)),
        output=folder,
    )
