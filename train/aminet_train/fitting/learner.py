# SPDX-License-Identifier: Apache-2.0
"""A network and its optimiser, one step at a time.

All that is drawn in a step comes from the run's seed, the step's number and the process, so that
the state of a run is its tensors and a few counters.
"""

from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from aminet_train.fitting import schedule
from aminet_train.fitting.augment import ImagePlanes, augment
from aminet_train.fitting.config import Precision, ScheduleConfig, TrainConfig
from aminet_train.fitting.dataset import SliceBatch
from aminet_train.fitting.losses import total_loss
from aminet_train.fitting.mixed_precision import keep_strided_depthwise_in_float32
from aminet_train.networks import asks_for_atlas, settled_parts


class Learner:
    """Trains a network; on several processes each takes its share of the batch.

    Args:
        network: Input 0..1 to logits and evidence.
        config: The run.
        fabric: Lightning's, launched: arithmetic and processes.
        total_steps: Of the whole run, if it is not ended early.
        mirror: Index of the other side's region; None switches the left-right flip off.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        fabric: lightning.Fabric,
        *,
        total_steps: int,
        mirror: Sequence[int] | None,
    ) -> None:
        # twice as fast as the default layout for depthwise convolutions on a CPU
        self.network = network.to(memory_format=torch.channels_last)
        if config.precision is Precision.BFLOAT16:
            keep_strided_depthwise_in_float32(network)
        self.optimizer = _optimizer(network, config.schedule)
        self._config = config
        self._fabric = fabric
        self._total_steps = total_steps
        self._mirror = mirror
        self._planes = ImagePlanes(config.window.mirrored, asks_for_atlas(config.network))
        self._module, self._stepper = fabric.setup(self.network, self.optimizer)

    def start_epoch(self, epoch: int) -> None:
        """Freeze what has learned before for the first epochs, batch norms too, as the report."""
        self.network.train()
        frozen = epoch < self._config.schedule.frozen_epochs
        for module in settled_parts(self.network):
            module.requires_grad_(not frozen)
            module.train(not frozen)

    def step(self, batch: SliceBatch, number: int) -> float:
        """Augment, predict, learn.

        Args:
            batch: This process's share.
            number: Of the step, counted over the whole run.

        Returns:
            The loss over all processes.
        """
        generator = self._seed_step(number)
        self._set_rates(number)
        batch = augment(
            batch,
            self._config.augment,
            generator,
            mirror=self._mirror,
            planes=self._planes,
        )
        images = batch.images.contiguous(memory_format=torch.channels_last)
        logits, evidence = self._module(images)
        loss = total_loss(logits, evidence, batch, self._config.loss)
        self._stepper.zero_grad()
        self._fabric.backward(loss)
        self._stepper.step()
        return float(self._mean_over_processes(loss.detach()))

    def average_buffers(self) -> None:
        """Give all processes the same batch norm statistics, before the network is scored."""
        for buffer in self.network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self._mean_over_processes(buffer))

    def _seed_step(self, number: int) -> torch.Generator:
        entropy = np.random.SeedSequence((self._config.seed, number, self._fabric.global_rank))
        dropout, changes = entropy.generate_state(2, np.uint64).tolist()
        torch.manual_seed(dropout)  # dropout knows no generator of its own
        return torch.Generator().manual_seed(changes)

    def _set_rates(self, number: int) -> None:
        share = schedule.rate_share(number, self._total_steps)
        momentum = schedule.momentum(number, self._total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * share
            group["betas"] = (momentum, group["betas"][1])

    def _mean_over_processes(self, value: Tensor) -> Tensor:
        if self._fabric.world_size == 1:
            return value
        return self._fabric.all_reduce(value, reduce_op="mean")  # type: ignore[return-value]


def _optimizer(network: nn.Module, config: ScheduleConfig) -> torch.optim.AdamW:
    """AdamW; what has learned before learns more slowly than what is new."""
    settled = [p for module in settled_parts(network) for p in module.parameters()]
    known = set(settled)
    new = [p for p in network.parameters() if p not in known]
    groups: list[dict[str, Any]] = [{"params": new, "peak_lr": config.learning_rate}]
    if settled:
        rate = config.learning_rate * config.backbone_rate
        groups.append({"params": settled, "peak_lr": rate})
    return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
