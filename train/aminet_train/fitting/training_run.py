# SPDX-License-Identifier: Apache-2.0
"""One training run on one process: epochs, state, decision rule, checkpoint.

The loop is our own on Lightning's Fabric: see docs/decisions/0003-own-training-loop.md.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aminet_runtime.errors import UsageError
from aminet_train.checkpoint import LEARNED_BEFORE, CheckpointInfo, save_checkpoint
from aminet_train.cohort.patients import PatientsBySplit
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.fitting.batches import EpochBatches, Share
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.dataset import SliceDataset
from aminet_train.fitting.heap import keep_freed_memory
from aminet_train.fitting.learner import Learner
from aminet_train.fitting.processes import launch
from aminet_train.fitting.progress import Progress, TrainingObserver
from aminet_train.fitting.run_folder import RunFolder
from aminet_train.fitting.run_log import RunLog, draw_curves
from aminet_train.fitting.run_state import (
    BestWeights,
    RunState,
    optimizer_moments,
    restore_moments,
    save_state,
)
from aminet_train.fitting.starting_network import random_network, starting_network
from aminet_train.fitting.validation import PatientScores, Validation
from aminet_train.judging.evaluate import evaluate_scores
from aminet_train.networks import learn_mirror
from aminet_train.provenance import git_commit, tool_versions
from aminet_train.thresholds import choose_rule


@dataclass(frozen=True, slots=True)
class RunData:
    """The prepared data of a run.

    Attributes:
        cohort: Preprocessing and regions.
        patients: By split.
        training: The slices to learn from.
        validation: The patients that decide which weights are kept.
        fingerprint: Of all of it.
        before: What is known of the network to start from; None without one.
    """

    cohort: PreparedCohort
    patients: PatientsBySplit
    training: SliceDataset
    validation: Validation
    fingerprint: str
    before: CheckpointInfo | None = None


@dataclass(frozen=True, slots=True)
class Manners:
    """How a run behaves, which changes nothing of its result.

    Attributes:
        observer: Is told of each step and epoch.
        save_seconds: How often the state is saved.
    """

    observer: TrainingObserver
    save_seconds: float


class TrainingRun:
    """One run on one process; it starts the others.

    Args:
        config: The run.
        data: What `config.data` holds.
        folder: Where it is written.
        manners: How it behaves.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: RunData,
        folder: RunFolder,
        manners: Manners,
    ) -> None:
        self._config, self._data, self._folder = config, data, folder
        self._manners = manners
        self._saved_at = time.monotonic()
        keep_freed_memory()
        self._fabric = launch(config)
        self._batches = EpochBatches(
            data.training, config, Share(self._fabric.global_rank, self._fabric.world_size)
        )
        self._progress = Progress()
        self._best = BestWeights()

    def finish(self, state: RunState | None) -> Path:
        """Train from a state, or from the beginning, to the checkpoint."""
        self._learner = self._build_learner(state)
        if self._fabric.is_global_zero:
            with RunLog(self._folder.path, epochs=self._progress.epoch) as log:
                self._run_epochs(log)
            draw_curves(self._folder.path, self._progress.history)
        else:
            self._run_epochs(None)
        self._write_checkpoint()
        return self._folder.checkpoint

    def _build_learner(self, state: RunState | None) -> Learner:
        config, preprocessing = self._config, self._data.cohort.preprocessing
        if state is None:
            network = starting_network(config, preprocessing, self._data.training)
            learn_mirror(network, self._data.cohort.regions.mirror)
        else:
            network = random_network(config, preprocessing)
            network.load_state_dict(dict(state.network))
        learner = Learner(
            network,
            config,
            self._fabric,
            total_steps=len(self._batches) * config.schedule.epochs,
            mirror=self._data.cohort.regions.mirror,
        )
        if state is not None:
            restore_moments(network, learner.optimizer, state.moments)
            self._progress, self._best = state.progress, state.best
        return learner

    def _run_epochs(self, log: RunLog | None) -> None:
        while not self._is_learned():
            self._run_steps()
            self._end_epoch()
            if log is not None:
                log.write(self._progress.history)
                self._manners.observer.on_epoch(
                    self._progress.history[-1], self._config.schedule.epochs
                )
            self._save()

    def _is_learned(self) -> bool:
        schedule, progress = self._config.schedule, self._progress
        return (
            progress.epoch >= schedule.epochs or progress.epochs_without_gain >= schedule.patience
        )

    def _run_steps(self) -> None:
        epoch = self._progress.epoch
        total = len(self._batches) * self._config.schedule.epochs
        self._learner.start_epoch(epoch)
        for batch in self._batches.load(epoch, first_step=self._progress.step):
            number = epoch * len(self._batches) + self._progress.step
            loss = self._learner.step(batch, number)
            if not math.isfinite(loss):
                raise UsageError(
                    f"the loss is {loss} at step {number + 1}", hint="lower the learning rate"
                )
            self._progress = self._progress.after_step(loss)
            self._manners.observer.on_step(number + 1, total, loss)
            if time.monotonic() - self._saved_at >= self._manners.save_seconds:
                self._save()

    def _end_epoch(self) -> None:
        """Score the validation patients; keep the weights if they are the best so far."""
        network, progress = self._learner.network, self._progress
        self._learner.average_buffers()
        scores = self._data.validation.score(network, self._fabric)
        metrics = self._data.validation.measure(
            scores, epoch=progress.epoch + 1, loss=progress.loss_sum / max(progress.step, 1)
        )
        self._progress = progress.after_epoch(metrics)
        if self._progress.best is metrics:
            weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            self._best = BestWeights(weights, torch.cat([torch.from_numpy(s) for s in scores]))

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        if not self._fabric.is_global_zero:
            return
        network = self._learner.network
        state = RunState(
            progress=self._progress,
            network=network.state_dict(),
            moments=optimizer_moments(network, self._learner.optimizer),
            best=self._best,
            data=self._data.fingerprint,
        )
        save_state(self._folder.state, state)

    def _write_checkpoint(self) -> None:
        network = self._learner.network
        network.load_state_dict(dict(self._best.network))
        scores, validation = self._final_scores(network.eval())
        if self._fabric.is_global_zero:
            info = _describe(self._config, self._data, validation, scores)
            save_checkpoint(self._folder.checkpoint, network, info)
            self._folder.end()

    def _final_scores(self, network: nn.Module) -> tuple[PatientScores, Validation]:
        """Take the best epoch's scores, or score the slices that a stride left out."""
        validation = self._data.validation
        if validation.stride == 1:
            counts = [len(labels) for labels in validation.labels()]
            parts = torch.split(self._best.scores, counts)
            return [part.numpy() for part in parts], validation
        every = replace(validation, stride=1)
        return every.score(network, self._fabric), every


def _describe(
    config: TrainConfig, data: RunData, validation: Validation, scores: PatientScores
) -> CheckpointInfo:
    labels, before = validation.labels(), data.before
    rule = choose_rule(scores, labels)
    return CheckpointInfo(
        approach=config.approach,
        network=config.network,
        preprocessing=data.cohort.preprocessing,
        regions=data.cohort.regions,
        rule=rule,
        training={
            "config": config.to_json(),
            "data": {split: _fingerprints(group) for split, group in data.patients.items()},
            LEARNED_BEFORE: [] if before is None else sorted(before.learned),
            "data_fingerprint": data.fingerprint,
            "validation": evaluate_scores(scores, labels, rule),
            "versions": tool_versions(),
            "git_commit": git_commit(),
        },
        window=config.window,
        leaking=data.cohort.leaking or (before is not None and before.leaking),
    )


def _fingerprints(patients: Sequence[PreparedPatient]) -> dict[str, Any]:
    return {"count": len(patients), "fingerprints": sorted(p.fingerprint for p in patients)}
