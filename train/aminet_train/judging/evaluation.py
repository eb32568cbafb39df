# SPDX-License-Identifier: Apache-2.0
"""Evaluate models side by side: tables, curves, pictures, twins and second cohorts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from aminet_runtime.errors import InputInconsistent, InputMissing, UsageError
from aminet_train.cohort.pool import PatientPool
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.judging.answers import (
    PatientAnswer,
    affected_regions,
    count_patients,
    evaluate_answers,
)
from aminet_train.judging.candidates import Candidate, CheckpointCandidate, open_candidate
from aminet_train.judging.curves import calibration_error, reliability
from aminet_train.judging.saved_scores import save_scores
from aminet_train.judging.twins import pair_twins, twin_figures
from aminet_train.levels import Level
from aminet_train.metrics import f1_difference_interval, total
from aminet_train.networks import Approach

MAIN_COHORT = "data"
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What to evaluate.

    Attributes:
        models: Label (None for the folder's own) and folder of each checkpoint, bundle, ensemble.
        data: Prepared cohorts.
        split: Of these cohorts.
        compare: Name to the prepared cohorts of another set of test patients.
        twins: Prepared cohorts of the same patients without their clots.
        scores: Folder for the scores of every patient; None for none.
    """

    models: tuple[tuple[str | None, Path], ...]
    data: tuple[Path, ...]
    split: Split = Split.TEST
    compare: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    twins: tuple[Path, ...] = ()
    scores: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One model on one set of patients.

    Attributes:
        candidate: The model.
        cohort: Name of the set.
        patients: Who was scored.
        answers: What the model said, by patient.
        report: The figures, as plain JSON values.
    """

    candidate: Candidate
    cohort: str
    patients: Sequence[PreparedPatient]
    answers: Mapping[str, PatientAnswer]
    report: dict[str, Any]

    def ordered(self) -> list[PatientAnswer]:
        """List the answers in the order of the patients."""
        return [self.answers[patient.patient_id] for patient in self.patients]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Models side by side.

    Attributes:
        split: What was evaluated.
        judged: Every model on every set of patients, the main set first.
        comparisons: Paired differences of F1 on the main set.
    """

    split: Split
    judged: Sequence[Judged]
    comparisons: Sequence[dict[str, Any]]

    @property
    def main(self) -> list[Judged]:
        """The models on the main set of patients."""
        return [one for one in self.judged if one.cohort == MAIN_COHORT]

    @property
    def leaking(self) -> bool:
        """Whether any of the figures comes of a split by slices."""
        return any(one.report["leaking"] for one in self.judged)

    def to_json(self) -> dict[str, Any]:
        """Return one model's report as it is, several side by side."""
        models = []
        for one in self.main:
            others = {
                other.cohort: other.report
                for other in self.judged
                if other.candidate is one.candidate and other.cohort != MAIN_COHORT
            }
            models.append({**one.report, **({"compare": others} if others else {})})
        if len(models) == 1:
            return models[0]
        return {
            "split": self.split.value,
            "leaking": self.leaking,
            "models": models,
            "comparisons": list(self.comparisons),
        }


def evaluate(
    plan: EvaluationPlan, *, on_progress: OnProgress = lambda _done, _total: None
) -> Evaluation:
    """Score all models on all sets of patients and compare them.

    Args:
        plan: What to evaluate.
        on_progress: Called with patients scored and patients in all.

    Raises:
        ModelError: A model cannot be read.
        InputError: A cohort cannot be read, or has no patients for a model.
        UsageError: Two models have one label.
    """
    candidates = _open_models(plan)
    pools = {MAIN_COHORT: PatientPool.open(plan.data)}
    pools |= {name: PatientPool.open(roots) for name, roots in plan.compare.items()}
    progress = _Progress(_count(candidates, pools, plan), on_progress)
    judged = [
        judge(candidate, pool, plan.split, cohort=name, on_patient=progress.step)
        for name, pool in pools.items()
        for candidate in candidates
    ]
    if plan.twins:
        _add_twins(judged, PatientPool.open(plan.twins), progress)
    if plan.scores is not None:
        for one in judged:
            _save(one, plan.scores)
    main = [one for one in judged if one.cohort == MAIN_COHORT]
    return Evaluation(plan.split, judged, [_compare(*pair) for pair in combinations(main, 2)])


def evaluate_checkpoint(checkpoint: Path, roots: Sequence[Path], split: Split) -> dict[str, Any]:
    """Return the report of one model on one split of prepared cohorts."""
    plan = EvaluationPlan(models=((None, checkpoint),), data=tuple(roots), split=split)
    return evaluate(plan).to_json()


def judge(
    candidate: Candidate,
    pool: PatientPool,
    split: Split,
    *,
    cohort: str = MAIN_COHORT,
    on_patient: Callable[[], None] = lambda: None,
) -> Judged:
    """Score one model on one split and compute its figures.

    Raises:
        InputMissing: The split has no patients.
    """
    patients = candidate.patients(pool, [split])
    if not patients:
        raise InputMissing(
            f"there are no {split} patients for {candidate.label}", hint="check --data and --split"
        )
    answers = candidate.answers(pool, [split], on_patient)
    labels = [patient.labels_here for patient in patients]
    figures = evaluate_answers([answers[p.patient_id] for p in patients], labels)
    for region in figures["per_region"]:
        region["name"] = candidate.regions.names[region["index"]]
    report = {
        "split": split.value,
        "label": candidate.label,
        "approach": candidate.approach,
        "leaking": pool.leaking or candidate.leaking,
        "seen_in_training": _seen_in_training(candidate, patients),
        "rule": None if candidate.rule is None else asdict(candidate.rule),
        **figures,
    }
    judged = Judged(candidate, cohort, patients, answers, report)
    report |= _extras(judged)
    return judged


def _extras(judged: Judged) -> dict[str, Any]:
    """Return what only some models have: calibration, and the sweep of the SPIRAL threshold."""
    if judged.candidate.rule is None:
        return {}  # the scores of an ensemble rank and are no probabilities
    truth = [patient.labels_here.astype(bool) for patient in judged.patients]
    levels = {
        "slice": (
            np.concatenate([one.slice_scores for one in judged.ordered()]),
            np.concatenate(truth),
        ),
        "patient": (
            np.stack([one.region_scores for one in judged.ordered()]),
            np.stack([affected_regions(patient) for patient in truth]),
        ),
    }
    extras: dict[str, Any] = {"reliability": {}}
    for level, (scores, true) in levels.items():
        bins = reliability(scores, true)
        extras["reliability"][level] = {
            "calibration_error": calibration_error(bins),
            "bins": [asdict(one) for one in bins],
        }
    candidate = judged.candidate
    if isinstance(candidate, CheckpointCandidate) and candidate.info.approach is Approach.SPIRAL:
        extras["sweep_on_train"] = candidate.info.training["sweep"]
    return extras


def _seen_in_training(candidate: Candidate, patients: Sequence[PreparedPatient]) -> int:
    """Count the patients that a model learned from, told by their scans."""
    return sum(patient.fingerprint in candidate.learned for patient in patients)


def _open_models(plan: EvaluationPlan) -> list[Candidate]:
    candidates = [open_candidate(path, label=label) for label, path in plan.models]
    labels = [candidate.label for candidate in candidates]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise UsageError(f"two models are called {twice[0]}", hint="name them: NAME=FOLDER")
    if MAIN_COHORT in plan.compare:
        raise UsageError(f"--compare may not be named {MAIN_COHORT}", hint="choose another name")
    return candidates


def _count(
    candidates: Sequence[Candidate], pools: Mapping[str, PatientPool], plan: EvaluationPlan
) -> int:
    return sum(
        len(candidate.patients(pool, [plan.split]))
        for pool in pools.values()
        for candidate in candidates
    )


class _Progress:
    def __init__(self, expected: int, on_progress: OnProgress) -> None:
        self._done, self._expected, self._on_progress = 0, expected, on_progress

    def step(self) -> None:
        self._done += 1
        self._on_progress(self._done, max(self._expected, self._done))


def _add_twins(judged: Sequence[Judged], twins: PatientPool, progress: _Progress) -> None:
    if twins.leaking or any(one.report["leaking"] for one in judged):
        raise InputInconsistent(
            "twins mean nothing where slices of one patient are on both sides",
            hint="split by patients",
        )
    for one in judged:
        if one.cohort == MAIN_COHORT:
            everybody = one.candidate.patients(twins, list(Split))
            pairs = pair_twins(one.patients, everybody)
            without = one.candidate.answers(twins, list(Split), progress.step)
            one.report["twins"] = twin_figures(pairs, one.answers, without)


def _save(one: Judged, folder: Path) -> None:
    place = folder if one.cohort == MAIN_COHORT else folder / f"compare-{one.cohort}"
    keys = ("split", "label", "approach", "leaking", "rule")
    about = {key: one.report[key] for key in keys}
    save_scores(place / one.candidate.label, one.patients, one.answers, about)


def _compare(first: Judged, second: Judged) -> dict[str, Any]:
    """Bootstrap the difference of F1 on the same patients; None where they are not the same."""
    result: dict[str, Any] = {"first": first.candidate.label, "second": second.candidate.label}
    others = {patient.patient_id: patient for patient in second.patients}
    same = [p.patient_id for p in first.patients] == [p.patient_id for p in second.patients]
    if not same or any(
        not np.array_equal(p.labels_here, others[p.patient_id].labels_here) for p in first.patients
    ):
        return {**result, "slice": None, "patient": None}
    counts = [
        count_patients(one.ordered(), [p.labels_here for p in one.patients])
        for one in (first, second)
    ]
    for place, level in enumerate(Level):
        one, other = counts[0][place], counts[1][place]
        result[level] = {
            "f1_difference": total(one).f1 - total(other).f1,
            "ci95": list(f1_difference_interval(one, other)),
        }
    return result
