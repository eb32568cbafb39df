# SPDX-License-Identifier: Apache-2.0
"""The batches of an epoch: a function of seed and epoch, so that a run can go on in its middle."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.dataset import BalancedDraw, SliceBatch, SliceDataset, collate


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of each batch one of several processes takes."""

    rank: int = 0
    count: int = 1


class EpochBatches:
    """Draws and loads the batches of each epoch, or one process's share of them.

    Args:
        training: The slices.
        config: The run.
        share: Of this process.
    """

    def __init__(self, training: SliceDataset, config: TrainConfig, share: Share) -> None:
        self._training = training
        self._share = share
        self._draw = BalancedDraw(
            training.labels,
            negatives_per_positive=config.negatives_per_positive,
            seed=config.seed,
        )
        self._batch_size = config.schedule.batch_size

    def __len__(self) -> int:
        """Return the steps of one epoch; what is left over is too little for a batch."""
        return max(1, len(self._draw) // self._batch_size)

    def load(self, epoch: int, *, first_step: int = 0) -> Iterator[SliceBatch]:
        """Yield the batches of an epoch from one of its steps on."""
        order = self._draw.order(epoch)
        loader = DataLoader(
            self._training,
            batch_sampler=[self._share_of(order, step) for step in range(first_step, len(self))],
            collate_fn=collate,
        )
        return iter(loader)

    def _share_of(self, order: NDArray[np.intp], step: int) -> list[int]:
        batch = order[step * self._batch_size : (step + 1) * self._batch_size]
        indices: list[int] = batch[self._share.rank :: self._share.count].tolist()
        return indices
