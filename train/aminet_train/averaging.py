# SPDX-License-Identifier: Apache-2.0
"""Several checkpoints of one network become one: the mean of their weights.

Runs that went on from each other end around one minimum, each a step of the last rate away from it;
their mean lies nearer to it than they do. It costs nothing when it is run, which an ensemble does.

Source: Wortsman et al., Model soups: averaging weights of multiple fine-tuned models improves
accuracy without increasing inference time, ICML 2022.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aminet_runtime.errors import InputInconsistent, InputMissing, ModelIncompatible, UsageError
from aminet_train.checkpoint import (
    LEARNED_BEFORE,
    CheckpointInfo,
    load_info,
    load_network,
    run_name,
    save_checkpoint,
)
from aminet_train.cohort.patients import PatientsBySplit, gather_patients, require_unseen
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.fitting.config import Precision
from aminet_train.judging.evaluate import evaluate_scores, score_patient
from aminet_train.networks import without_dropout
from aminet_train.plain_run import free_checkpoint_folder, write_plain_config
from aminet_train.provenance import git_commit, tool_versions
from aminet_train.thresholds import choose_rule

FEWEST_MEMBERS = 2
AVERAGED = "averaged"
"""Of `training`'s `config`: the runs whose weights were averaged."""


def average_checkpoints(
    members: Sequence[Path],
    data: Sequence[Path],
    run: Path,
    *,
    precision: Precision = Precision.FLOAT32,
) -> Path:
    """Average the weights of checkpoints, and choose a decision rule for what comes out.

    Args:
        members: Checkpoints of one network, which may have learned with another dropout; runs that
            began apart have no useful mean.
        data: Prepared cohorts, whose validation patients choose the rule. The mean sees slices as
            they do; members may have seen them at another size.
        run: Folder for the checkpoint; must not hold one yet.
        precision: Arithmetic in which these patients are scored; the mean is float32.

    Returns:
        The checkpoint's folder.

    Raises:
        InputInconsistent: A member has learned from a held-out patient, or the cohorts were not
            prepared as any member sees.
        InputMissing: There are no validation patients.
        ModelIncompatible: The members are not of one network.
        UsageError: There are fewer than two, or the run has a checkpoint already.
    """
    target = free_checkpoint_folder(run)
    infos = _infos_of_one_network(members)
    names = [run_name(member) for member in members]
    cohort, patients = _held_out(data, infos, names=names)
    mean = _mean(members, infos)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision is Precision.BFLOAT16):
        info = _describe(mean, infos, cohort, patients[Split.VALIDATION], names=names)
    write_plain_config(run, info.approach, data)
    save_checkpoint(target, mean, info)
    return target


def _infos_of_one_network(members: Sequence[Path]) -> list[CheckpointInfo]:
    if len({member.resolve() for member in members}) < FEWEST_MEMBERS:
        raise UsageError(
            "one checkpoint has no mean", hint=f"add --members: {FEWEST_MEMBERS} or more, each once"
        )
    infos = [load_info(member) for member in members]
    for member, info in zip(members, infos, strict=True):
        if _shape(info) != _shape(infos[0]):
            raise ModelIncompatible(
                f"the checkpoint is of another network than {run_name(members[0])}",
                path=member,
                hint="average checkpoints of runs that went on from each other",
            )
    return infos


def _shape(info: CheckpointInfo) -> tuple[object, ...]:
    """Return what members must have in common; slices' size and dropout may differ."""
    views = info.preprocessing.channels, info.preprocessing.views_hu
    return info.approach, without_dropout(info.network), views, info.window, info.regions


def _held_out(
    data: Sequence[Path], infos: Sequence[CheckpointInfo], *, names: Sequence[str]
) -> tuple[PreparedCohort, PatientsBySplit]:
    cohort, patients = gather_patients(data)
    if cohort.preprocessing not in [info.preprocessing for info in infos]:
        raise InputInconsistent(
            "the cohorts were not prepared as any of the checkpoints sees",
            hint="name those of the runs",
        )
    if not patients[Split.VALIDATION]:
        raise InputMissing("there are no validation patients", hint="prepare more patients")
    if not cohort.leaking:
        for name, info in zip(names, infos, strict=True):
            require_unseen(patients, info.learned, network=f"the member {name}")
    return cohort, patients


def _mean(members: Sequence[Path], infos: Sequence[CheckpointInfo]) -> nn.Module:
    """Average weights and the statistics of batch norms; what merely counts stays the first's."""
    networks = [load_network(m, info) for m, info in zip(members, infos, strict=True)]
    states = [network.state_dict() for network in networks]
    for member, state in zip(members, states, strict=True):
        if any(state[name].shape != tensor.shape for name, tensor in states[0].items()):
            raise ModelIncompatible(
                f"its weights grow with the size of its input, which is not that of "
                f"{run_name(members[0])}",
                path=member,
                hint="average checkpoints that saw slices of one size",
            )
    mean = {name: _mean_tensor([state[name] for state in states]) for name in states[0]}
    networks[0].load_state_dict(mean)
    return networks[0].eval()


def _mean_tensor(tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    if not first.is_floating_point():
        return first
    return torch.stack([tensor.double() for tensor in tensors]).mean(dim=0).to(first.dtype)


def _describe(
    mean: nn.Module,
    infos: Sequence[CheckpointInfo],
    cohort: PreparedCohort,
    validation: Sequence[PreparedPatient],
    *,
    names: Sequence[str],
) -> CheckpointInfo:
    scores = [score_patient(mean, patient, infos[0].window) for patient in validation]
    labels = [patient.labels_here for patient in validation]
    rule = choose_rule(scores, labels)
    training: Mapping[str, Any] = {
        "config": {AVERAGED: list(names)},
        LEARNED_BEFORE: sorted(frozenset[str]().union(*(info.learned for info in infos))),
        "validation": evaluate_scores(scores, labels, rule),
        "versions": tool_versions(),
        "git_commit": git_commit(),
    }
    leaking = cohort.leaking or any(info.leaking for info in infos)
    return replace(
        infos[0],
        preprocessing=cohort.preprocessing,
        rule=rule,
        training=training,
        leaking=leaking,
    )
