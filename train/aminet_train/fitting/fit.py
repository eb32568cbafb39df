# SPDX-License-Identifier: Apache-2.0
"""Train a network: begin a run, or go on with one that was ended."""

from pathlib import Path

from aminet_runtime.errors import InputMissing
from aminet_train.checkpoint import load_info
from aminet_train.cohort.patients import gather_patients, require_unseen
from aminet_train.cohort.splits import Split
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.dataset import SliceDataset
from aminet_train.fitting.processes import is_first_process
from aminet_train.fitting.progress import SILENT, TrainingObserver
from aminet_train.fitting.run_folder import RunFolder, fingerprint
from aminet_train.fitting.run_state import load_state
from aminet_train.fitting.training_run import Manners, RunData, TrainingRun
from aminet_train.fitting.validation import Validation

SAVE_SECONDS = 30.0
"""A state of MobileNetV2 is 37 MB: written every half minute it costs well under a hundredth."""


def train(
    config: TrainConfig,
    run: Path,
    *,
    observer: TrainingObserver = SILENT,
    save_seconds: float = SAVE_SECONDS,
) -> Path:
    """Train a network and write its checkpoint with a decision rule from validation.

    Args:
        config: The run.
        run: Folder of the run; must not hold one yet.
        observer: Is told of each step and epoch.
        save_seconds: How often the state is saved, beside after each epoch; 0: after each step.

    Returns:
        The checkpoint's folder.

    Raises:
        InputInconsistent: The cohorts were prepared differently or share a scan over splits, or
            the network to start from has learned from a held-out patient.
        InputMissing: There are no training or no validation patients.
        UsageError: The folder has a run already.
    """
    data = _gather(config)
    folder = RunFolder(run)
    if is_first_process():
        folder.begin(config, data.fingerprint)
    return TrainingRun(config, data, folder, Manners(observer, save_seconds)).finish(None)


def resume(
    run: Path, *, observer: TrainingObserver = SILENT, save_seconds: float = SAVE_SECONDS
) -> Path:
    """Go on with a run that was ended by whatever it was, to the same result.

    Args:
        run: Its folder.
        observer: As for `train`.
        save_seconds: As for `train`.

    Returns:
        The checkpoint's folder, at once where the run had come to its end.

    Raises:
        InputMissing: There is no run.
        InputInconsistent: The prepared data have changed.
    """
    folder = RunFolder(run)
    if folder.has_ended:
        return folder.checkpoint
    config = folder.read_config()
    data = _gather(config)
    state = load_state(folder.state, data=data.fingerprint)
    return TrainingRun(config, data, folder, Manners(observer, save_seconds)).finish(state)


def _gather(config: TrainConfig) -> RunData:
    cohort, patients = gather_patients(config.data)
    for split in (Split.TRAIN, Split.VALIDATION):
        if not patients[split]:
            raise InputMissing(f"there are no {split} patients", hint="prepare more patients")
    training = SliceDataset(patients[Split.TRAIN], config.window)
    if not training.labels.any():
        raise InputMissing("no training slice has a clot", hint="prepare more patients")
    before = None if config.start_from is None else load_info(config.start_from)
    if before is not None and not cohort.leaking:
        require_unseen(patients, before.learned, network="the network to start from")
    stride = config.validation_stride
    validation = Validation(patients[Split.VALIDATION], config.window, stride)
    return RunData(cohort, patients, training, validation, fingerprint(patients), before)
