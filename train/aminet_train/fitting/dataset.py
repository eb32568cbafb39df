# SPDX-License-Identifier: Apache-2.0
"""Prepared slices to batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from aminet_runtime.regions import REGION_COUNT
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.slice_window import SINGLE_SLICE, SliceWindow


class SliceBatch(NamedTuple):
    """A batch of slices, or one slice without the first axis.

    Attributes:
        images: float32 [N, in_channels, h, w], 0..1.
        labels: float32 [N, 15], 0 or 1.
        elsewhere: float32 [N, 15], 1 where the patient's clot lies in the region, but not in this
            slice.
        cells: float32 [N, 15, gh, gw], 1 where a region's clot lies in the cell.
    """

    images: Tensor
    labels: Tensor
    elsewhere: Tensor
    cells: Tensor


class SliceDataset(Dataset[SliceBatch]):
    """The slices of some patients that can be drawn, one after the other.

    A slice can be drawn where its image and those of its neighbours were kept.

    Args:
        patients: Opened patients; their images stay on disk and are mapped.
        window: Neighbours to show with each slice.
    """

    def __init__(
        self, patients: Sequence[PreparedPatient], window: SliceWindow = SINGLE_SLICE
    ) -> None:
        self.window = window
        self._patients = list(patients)
        self._numbers = [patient.drawable(window) for patient in self._patients]
        self._of_patient = [patient.truth.labels.any(axis=0) for patient in self._patients]
        self._ends = np.cumsum([len(numbers) for numbers in self._numbers])
        drawn = zip(self._patients, self._numbers, strict=True)
        self.labels: NDArray[np.uint8] = np.concatenate(
            [patient.truth.labels[numbers] for patient, numbers in drawn]
            or [np.zeros((0, REGION_COUNT), np.uint8)]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> SliceBatch:
        place = int(np.searchsorted(self._ends, index, side="right"))
        patient, numbers = self._patients[place], self._numbers[place]
        number = numbers[index - int(self._ends[place])]  # counted from the patient's end
        cells = patient.truth.clot_cells[number]
        labels = self.labels[index]
        elsewhere = self._of_patient[place] & (labels == 0)
        return SliceBatch(
            images=patient.inputs(np.array([number], np.int32), self.window)[0],
            labels=torch.from_numpy(labels).float(),
            elsewhere=torch.from_numpy(elsewhere).float(),
            cells=unpack_cells(torch.from_numpy(cells.astype(np.int32))),
        )


class BalancedDraw:
    """All slices with clot and a fresh draw of the others in every epoch.

    Args:
        labels: uint8 [n, 15] of the dataset.
        negatives_per_positive: Slices without clot for each one with clot.
        seed: The order of epoch e is a function of seed and e alone.
    """

    def __init__(
        self, labels: NDArray[np.uint8], *, negatives_per_positive: float, seed: int
    ) -> None:
        positive = labels.any(axis=1)
        self._positives = np.flatnonzero(positive)
        self._negatives = np.flatnonzero(~positive)
        wanted = round(len(self._positives) * negatives_per_positive)
        self._drawn = min(wanted, len(self._negatives))
        self._seed = seed

    def __len__(self) -> int:
        return len(self._positives) + self._drawn

    def order(self, epoch: int) -> NDArray[np.intp]:
        """Return the slices of an epoch in the order in which they are shown."""
        generator = np.random.default_rng((self._seed, epoch))
        drawn = generator.choice(self._negatives, self._drawn, replace=False)
        order: NDArray[np.intp] = generator.permutation(np.concatenate([self._positives, drawn]))
        return order


def unpack_cells(bits: Tensor) -> Tensor:
    """Turn region bits int [..., gh, gw] into float32 [..., 15, gh, gw]."""
    regions = torch.arange(REGION_COUNT, dtype=bits.dtype)[:, None, None]
    return ((bits.unsqueeze(-3) >> regions) & 1).float()


def collate(slices: Sequence[SliceBatch]) -> SliceBatch:
    """Stack slices to a batch."""
    return SliceBatch(*(torch.stack(parts) for parts in zip(*slices, strict=True)))
