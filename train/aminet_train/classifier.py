# SPDX-License-Identifier: Apache-2.0
"""The Lightning module: loss, schedule and validation around a network."""

from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from aminet_train.augment import augment
from aminet_train.dataset import BalancedSampler, SliceBatch, SliceDataset, collate
from aminet_train.evaluate import score_patient
from aminet_train.losses import total_loss
from aminet_train.metrics import average_precision
from aminet_train.networks import backbone_of
from aminet_train.prepared import PreparedPatient
from aminet_train.thresholds import best_patient_rule
from aminet_train.train_config import ScheduleConfig, TrainConfig

WARM_UP_SHARE = 0.1


class SliceClassifier(lightning.LightningModule):
    """Trains a network and remembers its best weights.

    Args:
        network: Input 0..1 to logits and evidence.
        config: The run.
        training: Patients to learn from.
        validation: Patients whose average precision decides which weights are kept.
        mirror: Index of the other side's region; None switches the left-right flip off.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        *,
        training: SliceDataset,
        validation: Sequence[PreparedPatient],
        mirror: Sequence[int] | None,
    ) -> None:
        super().__init__()
        # twice as fast as the default layout for depthwise convolutions on a CPU
        self.network = network.to(memory_format=torch.channels_last)
        self.config = config
        self._training = training
        self._validation = list(validation)
        self._mirror = mirror
        self._generator = torch.Generator().manual_seed(config.seed)
        self._best: dict[str, Tensor] = {}
        self._best_average_precision = -1.0
        self._epochs_without_gain = 0

    def best_network(self) -> nn.Module:
        """Return the network with the weights of its best validation, in eval mode."""
        self.network.load_state_dict(self._best)
        return self.network.eval()

    def train_dataloader(self) -> DataLoader[SliceBatch]:
        """Return batches of all clot slices and a drawn share of the rest."""
        sampler = BalancedSampler(
            self._training.labels,
            negatives_per_positive=self.config.negatives_per_positive,
            seed=self.config.seed,
        )
        return DataLoader(
            self._training,
            batch_size=self.config.schedule.batch_size,
            sampler=sampler,
            collate_fn=collate,
            drop_last=True,
        )

    def on_train_epoch_start(self) -> None:
        """Freeze the backbone, its batch norms too, for the first epochs, as the report did."""
        frozen = self.current_epoch < self.config.schedule.frozen_epochs
        for module in backbone_of(self.network):
            module.requires_grad_(not frozen)
            module.train(not frozen)

    def training_step(self, batch: SliceBatch, _batch_index: int) -> Tensor:
        """Augment, predict, and return the loss."""
        batch = augment(
            batch,
            self.config.augment,
            self._generator,
            mirror=self._mirror,
            window=self._training.window,
        )
        images = batch.images.contiguous(memory_format=torch.channels_last)
        logits, evidence = self.network(images)
        loss = total_loss(logits, evidence, batch, self.config.loss)
        self.log("loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Score the validation patients; keep the weights if they are the best so far."""
        stride = self.config.validation_stride
        window = self._training.window
        scores = [score_patient(self.network, p, window, stride=stride) for p in self._validation]
        labels = [patient.labels_here[::stride] for patient in self._validation]
        value = average_precision(np.concatenate(scores), np.concatenate(labels).astype(bool))
        self.log("slice_ap", value, prog_bar=True)
        self.log("patient_f1", best_patient_rule(scores, labels)[2], prog_bar=True)
        self._remember(value)

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay; the backbone learns more slowly than the head."""
        groups = _parameter_groups(self.network, self.config.schedule)
        optimizer = torch.optim.AdamW(groups, weight_decay=self.config.schedule.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in groups],
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=WARM_UP_SHARE,
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _remember(self, value: float) -> None:
        if value > self._best_average_precision:
            self._best_average_precision, self._epochs_without_gain = value, 0
            state = self.network.state_dict()
            self._best = {name: tensor.clone() for name, tensor in state.items()}
        else:
            self._epochs_without_gain += 1
        if self._epochs_without_gain >= self.config.schedule.patience:
            self.trainer.should_stop = True


def _parameter_groups(network: nn.Module, schedule: ScheduleConfig) -> list[dict[str, Any]]:
    backbone = [p for module in backbone_of(network) for p in module.parameters()]
    known = set(backbone)
    head = [p for p in network.parameters() if p not in known]
    groups = [{"params": head, "lr": schedule.learning_rate}]
    if backbone:
        rate = schedule.learning_rate * schedule.backbone_rate
        groups.append({"params": backbone, "lr": rate})
    return groups
