# SPDX-License-Identifier: Apache-2.0
"""The settings of one training run."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from aminet_train.checkpoint import run_name
from aminet_train.fitting.augment import AugmentConfig
from aminet_train.fitting.losses import LossConfig
from aminet_train.networks import Approach, NetworkConfig
from aminet_train.settings import to_tables
from aminet_train.slice_window import SINGLE_SLICE, SliceWindow


class Precision(StrEnum):
    """Arithmetic of training; exported graphs are always float32 or INT8."""

    FLOAT32 = "32-true"
    BFLOAT16 = "bf16-mixed"


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """How long and how fast to learn.

    Attributes:
        epochs: At most.
        frozen_epochs: Epochs at the start in which only the head learns; with late fusion, only the
            fusion.
        patience: Epochs without a better validation average precision before the run ends.
        batch_size: Slices a step, over all processes.
        learning_rate: Peak, of the head; with late fusion, of the fusion.
        backbone_rate: Learning rate of what has learned before, as a share of that.
        weight_decay: Of AdamW.
    """

    epochs: int = 40
    frozen_epochs: int = 5
    patience: int = 8
    batch_size: int = 32
    learning_rate: float = 7e-4
    backbone_rate: float = 0.3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse a schedule that cannot be meant."""
        if self.epochs < 1 or self.patience < 1 or self.batch_size < 1:
            raise ValueError("epochs, patience and batch_size are at least 1")
        if self.frozen_epochs < 0 or self.learning_rate <= 0 or self.backbone_rate < 0:
            raise ValueError("frozen_epochs, learning_rate and backbone_rate are not negative")


@dataclass(frozen=True, slots=True)
class ProcessesConfig:
    """On how many processes and threads a run computes; it is part of what makes it repeatable.

    Attributes:
        devices: Processes on each machine.
        nodes: Machines.
        threads: Of torch in each process; None leaves the choice to torch.
    """

    devices: int = 1
    nodes: int = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse less than one of each."""
        if min(self.devices, self.nodes, self.threads or 1) < 1:
            raise ValueError("devices, nodes and threads are at least 1")

    @property
    def count(self) -> int:
        """Number of processes."""
        return self.devices * self.nodes


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run.

    Attributes:
        data: Prepared cohorts; their splits are put together.
        approach: Which network.
        network: How it is built.
        weights: `imagenet` (timm's hub), `none`, or a safetensors file.
        start_from: Checkpoint of the same network to go on from, in place of `weights`.
        window: Neighbours that the network sees beside each slice.
        schedule: How long and how fast to learn.
        loss: Weights of the loss.
        augment: Ranges of the augmentation.
        negatives_per_positive: Slices without clot drawn for each slice with clot.
        validation_stride: Score every n-th validation slice while training; the decision rule is
            always chosen on all of them.
        precision: Arithmetic.
        processes: On how many of them.
        seed: Of everything that is drawn.
    """

    data: tuple[Path, ...]
    approach: Approach
    network: NetworkConfig
    weights: str = "imagenet"
    start_from: Path | None = None
    window: SliceWindow = SINGLE_SLICE
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    negatives_per_positive: float = 1.5
    validation_stride: int = 1
    precision: Precision = Precision.FLOAT32
    processes: ProcessesConfig = field(default_factory=ProcessesConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be meant, and a batch that cannot be dealt out alike."""
        if self.validation_stride < 1:
            raise ValueError(f"validation_stride is at least 1, not {self.validation_stride}")
        if not 0 <= self.negatives_per_positive < math.inf:  # nor NaN
            raise ValueError(
                "negatives_per_positive is at least 0 and finite, "
                f"not {self.negatives_per_positive:g}"
            )
        if self.seed < 0:
            raise ValueError(f"seed is at least 0, not {self.seed}")
        if self.schedule.batch_size % self.processes.count:
            raise ValueError(
                f"a batch of {self.schedule.batch_size} slices cannot be dealt to "
                f"{self.processes.count} processes alike"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, folders and files by their last name."""
        values = to_tables(self)
        values["data"] = [path.name for path in self.data]
        values["weights"] = Path(self.weights).name
        values["start_from"] = None if self.start_from is None else run_name(self.start_from)
        return values
