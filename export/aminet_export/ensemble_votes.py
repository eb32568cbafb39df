# SPDX-License-Identifier: Apache-2.0
"""What the members of an ensemble say together about held-out patients, float and as it ships."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_export.accuracy import Decided, Drops, answer_counts, drops_between
from aminet_export.gate import require_accuracy
from aminet_export.plan import ExportReport
from aminet_export.source import each_once
from aminet_runtime.bundle import Bundle
from aminet_runtime.errors import InputInconsistent
from aminet_runtime.metadata import Precision
from aminet_train.cohort.pool import PatientPool
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.judging.answers import PatientAnswer, answer, evaluate_answers, vote
from aminet_train.judging.candidates import open_candidate
from aminet_train.levels import Level

CASE_OTHER_PATIENTS = 27
CASE_SEEN = 28

Answers = Mapping[str, PatientAnswer]
"""By the name of the patient."""


@dataclass(frozen=True, slots=True, eq=False)
class MemberAnswers:
    """What one member says about its test patients.

    Attributes:
        folder: Of the member in the ensemble.
        labels: Truth by the name of the patient.
        reference: What the float network says.
        shipped: What the bundle says; the same where it is a float network itself.
    """

    folder: str
    labels: Mapping[str, NDArray[np.uint8]]
    reference: Answers
    shipped: Answers


@dataclass(frozen=True, slots=True)
class Voted:
    """What test patients say about an ensemble.

    Attributes:
        patient_count: How many they are.
        reference: Figures of the float members' vote, at both levels.
        shipped: Figures of the vote of what ships.
        members: By folder, the figures of each member as it ships.
        drops: From float to what ships.
    """

    patient_count: int
    reference: Mapping[str, Any]
    shipped: Mapping[str, Any]
    members: Mapping[str, Mapping[str, Any]]
    drops: Drops

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "patients": self.patient_count,
            "float": _both_levels(self.reference),
            "shipped": _both_levels(self.shipped),
            "members": {name: _both_levels(figures) for name, figures in self.members.items()},
            "drops": {level.value: drop.to_json() for level, drop in self.drops.items()},
        }


def answers_of_export(report: ExportReport) -> MemberAnswers:
    """Let the member that an export made decide on its test patients."""
    held_out = report.verdict.held_out
    names = held_out.patient_ids
    return MemberAnswers(
        folder=report.bundle.name,
        labels=dict(zip(names, held_out.labels, strict=True)),
        reference=_decide(names, held_out.reference),
        shipped=_decide(names, held_out.shipped),
    )


def answers_of_bundle(bundle: Path, data: Sequence[Path]) -> MemberAnswers:
    """Score the test patients with a member that was a bundle before.

    Raises:
        InputMissing: No cohort was prepared as it reads them.
        InputInconsistent: It was trained on a test patient.
    """
    pool = PatientPool.open(each_once(data))
    candidate = open_candidate(bundle)
    patients = candidate.patients(pool, [Split.TEST])
    _require_unseen(bundle, patients)
    answers = candidate.answers(pool, [Split.TEST], lambda: None)
    labels = {patient.patient_id: patient.truth.labels for patient in patients}
    return MemberAnswers(bundle.name, labels, answers, answers)


def judge_votes(
    members: Sequence[MemberAnswers], *, precision: Precision, max_drop: float
) -> Voted:
    """Let the members vote on each test patient, in float and as they ship.

    Args:
        members: An odd number.
        precision: That was asked for, for the message.
        max_drop: Largest loss of F1 at either level.

    Raises:
        InputInconsistent: The members were tested on different patients.
        GateFailed: The vote loses more than is allowed.
    """
    _require_same_patients(members)
    names = list(members[0].labels)
    labels = [members[0].labels[name] for name in names]
    reference = [vote([member.reference[name] for member in members]) for name in names]
    shipped = [vote([member.shipped[name] for member in members]) for name in names]
    drops = drops_between(answer_counts(reference, labels), answer_counts(shipped, labels))
    require_accuracy(drops, max_drop=max_drop, patients=len(names), precision=precision, worst=())
    return Voted(
        patient_count=len(names),
        reference=evaluate_answers(reference, labels),
        shipped=evaluate_answers(shipped, labels),
        members={
            member.folder: evaluate_answers([member.shipped[name] for name in names], labels)
            for member in members
        },
        drops=drops,
    )


def _decide(names: Sequence[str], decided: Decided) -> dict[str, PatientAnswer]:
    pairs = zip(names, decided.scores, strict=True)
    return {name: answer(scores, decided.rule) for name, scores in pairs}


def _require_unseen(bundle: Path, patients: Sequence[PreparedPatient]) -> None:
    learned = Bundle.open(bundle).metadata.data.training.fingerprints
    seen = [patient.patient_id for patient in patients if patient.fingerprint in learned]
    if seen:
        raise InputInconsistent(
            f"the bundle was trained on test patient {seen[0]}",
            case=CASE_SEEN,
            hint="name data that are split as those that it was trained with",
        )


def _require_same_patients(members: Sequence[MemberAnswers]) -> None:
    first = members[0]
    for other in members[1:]:
        if other.labels.keys() != first.labels.keys() or any(
            not np.array_equal(labels, first.labels[name]) for name, labels in other.labels.items()
        ):
            raise InputInconsistent(
                f"{first.folder} and {other.folder} were tested on different patients",
                case=CASE_OTHER_PATIENTS,
                hint="prepare the same patients, split alike, for every member",
            )


def _both_levels(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {level.value: figures[level.value] for level in Level}
