# SPDX-License-Identifier: Apache-2.0
"""A training run: data, network, fit, decision rule, checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from aminet_runtime.errors import InputMissing, ModelIncompatible, UsageError
from aminet_runtime.publish import write_whole
from aminet_train.checkpoint import CheckpointInfo, load_info, load_network, save_checkpoint
from aminet_train.classifier import SliceClassifier
from aminet_train.dataset import SliceDataset
from aminet_train.evaluate import evaluate_scores, score_patient
from aminet_train.networks import backbone_of, build_network
from aminet_train.networks.weights import (
    has_folded_batch_norm,
    load_backbone,
    load_from_hub,
    unfold_batch_norm,
)
from aminet_train.patients import PatientsBySplit, gather_patients
from aminet_train.prepared import PreparedCohort, PreparedPatient
from aminet_train.preprocessing import in_channels
from aminet_train.provenance import git_commit, tool_versions
from aminet_train.splits import Split
from aminet_train.thresholds import choose_rule
from aminet_train.train_config import TrainConfig

CHECKPOINT_FOLDER = "checkpoint"
CONFIG_FILE = "config.json"
HUB_WEIGHTS = "imagenet"
NO_WEIGHTS = "none"
UNFOLD_SLICES = 256
UNFOLD_BATCH = 32


def train(config: TrainConfig, run: Path, *, progress: bool = False) -> Path:
    """Train a network and write its checkpoint with a decision rule from validation.

    Args:
        config: The run.
        run: Folder for logs and checkpoint; must not hold a checkpoint yet.
        progress: Draw a progress bar.

    Returns:
        The checkpoint's folder.

    Raises:
        InputInconsistent: The cohorts were prepared differently, or share a scan over splits.
        InputMissing: There are no training or no validation patients.
        UsageError: The run has a checkpoint already.
    """
    target = run / CHECKPOINT_FOLDER
    if target.exists():
        raise UsageError("this run has a checkpoint already", path=run, hint="choose another --run")
    lightning.seed_everything(config.seed, verbose=False)
    cohort, patients = gather_patients(config.data)
    write_whole(run / CONFIG_FILE, (json.dumps(config.to_json(), indent=1) + "\n").encode())
    network = _fit(config, cohort, patients, run=run, progress=progress)
    save_checkpoint(target, network, _describe(network, config, cohort, patients))
    return target


def initial_network(
    config: TrainConfig, cohort: PreparedCohort, training: SliceDataset
) -> nn.Module:
    """Build the network and give it its pretrained weights.

    Raises:
        ModelIncompatible: The checkpoint to start from is of another network.
    """
    if config.start_from is not None:
        return _continued(config, config.start_from).train()
    channels = in_channels(cohort.preprocessing, training.window)
    network = build_network(
        config.network, in_channels=channels, size_px=cohort.preprocessing.size_px
    )
    if config.weights == NO_WEIGHTS:
        return network
    for backbone in backbone_of(network):
        if config.weights == HUB_WEIGHTS:
            load_from_hub(backbone, in_channels=channels)
        else:
            load_backbone(backbone, Path(config.weights), in_channels=channels)
        if has_folded_batch_norm(backbone):
            unfold_batch_norm(network, _some_batches(training))
    return network.train()


def _continued(config: TrainConfig, checkpoint: Path) -> nn.Module:
    info = load_info(checkpoint)
    if info.network != config.network:
        raise ModelIncompatible(
            f"the checkpoint is of {info.network}", path=checkpoint, hint=f"wanted {config.network}"
        )
    return load_network(checkpoint, info)


def _fit(
    config: TrainConfig,
    cohort: PreparedCohort,
    patients: PatientsBySplit,
    *,
    run: Path,
    progress: bool,
) -> nn.Module:
    for split in (Split.TRAIN, Split.VALIDATION):
        if not patients[split]:
            raise InputMissing(f"there are no {split} patients", hint="prepare more patients")
    training = SliceDataset(patients[Split.TRAIN])
    classifier = SliceClassifier(
        initial_network(config, cohort, training),
        config,
        training=training,
        validation=patients[Split.VALIDATION],
        mirror=cohort.regions.mirror,
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=config.schedule.epochs,
        precision=config.precision.value,
        logger=CSVLogger(run, name="", version="logs"),
        enable_checkpointing=False,  # Lightning's checkpoints are pickles
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    trainer.fit(classifier)
    return classifier.best_network()


def _describe(
    network: nn.Module, config: TrainConfig, cohort: PreparedCohort, patients: PatientsBySplit
) -> CheckpointInfo:
    validation = patients[Split.VALIDATION]
    scores = [score_patient(network, patient) for patient in validation]
    labels = [patient.labels_here for patient in validation]
    rule = choose_rule(scores, labels)
    return CheckpointInfo(
        approach=config.approach,
        network=config.network,
        preprocessing=cohort.preprocessing,
        regions=cohort.regions,
        rule=rule,
        training={
            "config": config.to_json(),
            "data": {split: _fingerprints(group) for split, group in patients.items()},
            "validation": evaluate_scores(scores, labels, rule),
            "versions": tool_versions(),
            "git_commit": git_commit(),
        },
    )


def _fingerprints(patients: Sequence[PreparedPatient]) -> dict[str, Any]:
    return {"count": len(patients), "fingerprints": sorted(p.fingerprint for p in patients)}


def _some_batches(training: SliceDataset) -> list[Tensor]:
    step = max(1, len(training) // UNFOLD_SLICES)
    images = [training[index].images for index in range(0, len(training), step)][:UNFOLD_SLICES]
    return list(torch.split(torch.stack(images), UNFOLD_BATCH))
