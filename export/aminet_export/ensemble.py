# SPDX-License-Identifier: Apache-2.0
"""An ensemble of train to one folder that the runtime runs: every member a whole bundle, proven.

    ENSEMBLE/
      metadata.json, README.md, SHA256SUMS      the chain of trust; docs/bundle.md
      votes.json                                what test patients say about the vote
      members/1-mobilenetv2-int8/ ...           exported one after the other, each by its own gate

A member that is a bundle already is taken as it is.
"""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from aminet_export.ensemble_contents import write_ensemble
from aminet_export.ensemble_votes import (
    MemberAnswers,
    Voted,
    answers_of_bundle,
    answers_of_export,
    judge_votes,
)
from aminet_export.pipeline import export_bundle
from aminet_export.plan import ExportPlan, Listeners
from aminet_export.source import cohorts_for
from aminet_export.steps import StepLog, StepReport
from aminet_runtime.bundle import MEMBERS_FOLDER, Bundle
from aminet_runtime.ensemble_bundle import EnsembleBundle
from aminet_runtime.errors import InputInconsistent
from aminet_runtime.metadata import Precision
from aminet_runtime.publish import publish_folder
from aminet_train.checkpoint import load_info
from aminet_train.ensemble import Ensemble, Member, load_ensemble
from aminet_train.levels import Level
from aminet_train.networks import Approach

CASE_LEAKING = 23


@dataclass(frozen=True, slots=True)
class EnsembleReport:
    """What the export of an ensemble did.

    Attributes:
        bundle: Its folder.
        voted: What test patients say about the vote.
        steps: Each with result and time, those of the members in between.
    """

    bundle: Path
    voted: Voted
    steps: tuple[StepReport, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values for machines; the receipts of the members hold the rest."""
        return {
            "bundle": str(self.bundle),
            "steps": [step.to_json() for step in self.steps],
            **self.voted.to_json(),
        }


def export_ensemble(plan: ExportPlan, listeners: Listeners | None = None) -> EnsembleReport:
    """Export an ensemble of train, member by member; it appears whole or not at all.

    Args:
        plan: What to export: `checkpoint` is the folder of the ensemble, `data` the cohorts of all
            members. The SPIRAL threshold stays float whatever the precision.
        listeners: Whom to tell how it gets on.

    Raises:
        AminetError: A step failed; its name and the member's stand in front of the message.
        GateFailed: A member, or the vote, is not good enough.
    """
    listeners = listeners or Listeners()
    log = StepLog(listeners.on_step)
    with ExitStack() as unpublished:
        folder = unpublished.enter_context(publish_folder(plan.output))
        with log.step("load ensemble") as step:
            ensemble = _load(plan.checkpoint)
            step.result = ", ".join(member.approach for member in ensemble.members)
        answers = [_member(one, plan, folder, log, listeners) for one in ensemble.members]
        with log.step("vote") as step:
            voted = judge_votes(answers, precision=plan.precision, max_drop=plan.max_drop)
            step.result = _f1(voted)
        with log.step("card") as step:
            _write(folder, answers, voted, plan)
            step.result = "metadata, receipt, card and check sums"
        with log.step("publish") as step:
            step.result = f"{len(EnsembleBundle.open(folder).members)} members as they were made"
            unpublished.close()
    return EnsembleReport(plan.output, voted, tuple(log.done))


def _load(folder: Path) -> Ensemble:
    ensemble = load_ensemble(folder)
    if ensemble.leaking:
        raise InputInconsistent(
            "a member has seen slices of its test patients: no figure would mean anything",
            case=CASE_LEAKING,
            hint="train the members with splits by patient",
        )
    return ensemble


def _member(
    member: Member, plan: ExportPlan, folder: Path, log: StepLog, listeners: Listeners
) -> MemberAnswers:
    """Make one member, and let it decide on the test patients."""
    if member.is_bundle:
        return _taken_over(member, plan, folder, log)
    own = _member_plan(member, plan, folder)

    def on_step(report: StepReport) -> None:
        named = replace(report, name=f"{own.output.name}: {report.name}")
        log.done.append(named)
        listeners.on_step(named)

    with log.step(own.output.name) as step:
        report = export_bundle(own, replace(listeners, on_step=on_step))
        step.result = f"{own.precision} bundle"
    return answers_of_export(report)


def _taken_over(member: Member, plan: ExportPlan, folder: Path, log: StepLog) -> MemberAnswers:
    number = member.name.partition("-")[0]
    with log.step(member.name) as step:
        about = Bundle.open(member.folder).metadata
        target = folder / MEMBERS_FOLDER / f"{number}-{about.approach}-{about.precision}"
        shutil.copytree(member.folder, target)
        answers = answers_of_bundle(target, plan.data)
        step.result = f"{about.precision} bundle, as it was"
    return answers


def _member_plan(member: Member, plan: ExportPlan, folder: Path) -> ExportPlan:
    info = load_info(member.folder)
    precision = Precision.FP32 if info.approach is Approach.SPIRAL else plan.precision
    number = member.name.partition("-")[0]
    return replace(
        plan,
        checkpoint=member.folder,
        data=cohorts_for(info, plan.data),
        output=folder / MEMBERS_FOLDER / f"{number}-{info.approach}-{precision}",
        precision=precision,
    )


def _write(folder: Path, answers: Sequence[MemberAnswers], voted: Voted, plan: ExportPlan) -> None:
    names = [member.folder for member in answers]
    write_ensemble(folder, names, voted, name=plan.output.name, max_drop=plan.max_drop)


def _f1(voted: Voted) -> str:
    levels = (f"{level} F1 {voted.shipped[level]['f1']:.3f}" for level in Level)
    return f"{', '.join(levels)} on {voted.patient_count} test patients"
