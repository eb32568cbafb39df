# SPDX-License-Identifier: Apache-2.0
"""Scores of the validation patients while training, dealt to the processes of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aminet_runtime.regions import REGION_COUNT
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.fitting.progress import EpochMetrics
from aminet_train.judging.evaluate import score_patient
from aminet_train.metrics import average_precision
from aminet_train.slice_window import SliceWindow
from aminet_train.thresholds import best_slices_in_a_row, best_threshold

PatientScores = list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Validation:
    """The patients that decide which weights are kept.

    Attributes:
        patients: With the images of all slices.
        window: Neighbours that the network looks at.
        stride: Score every n-th slice.
    """

    patients: Sequence[PreparedPatient]
    window: SliceWindow
    stride: int

    def labels(self) -> list[NDArray[np.uint8]]:
        """Return the labels of the slices that are scored, [m, 15] for each patient."""
        return [patient.labels_here[:: self.stride] for patient in self.patients]

    def score(self, network: nn.Module, fabric: lightning.Fabric) -> PatientScores:
        """Score the patients; each process takes some, and all get all scores."""
        counts = [len(labels) for labels in self.labels()]
        table = torch.zeros(sum(counts), REGION_COUNT)
        parts = torch.split(table, counts)
        for place in range(fabric.global_rank, len(counts), fabric.world_size):
            scores = score_patient(network, self.patients[place], self.window, stride=self.stride)
            parts[place].copy_(torch.from_numpy(scores))
        if fabric.world_size > 1:  # all others hold zeros, so that the sum is exact
            table = fabric.all_reduce(table, reduce_op="sum")  # type: ignore[assignment]
        return [part.numpy() for part in torch.split(table, counts)]

    def measure(self, scores: PatientScores, *, epoch: int, loss: float) -> EpochMetrics:
        """Compare scores with the truth."""
        labels = self.labels()
        pairs = np.concatenate(scores), np.concatenate(labels).astype(bool)
        return EpochMetrics(
            epoch=epoch,
            loss=loss,
            slice_ap=average_precision(*pairs),
            slice_f1=best_threshold(*pairs)[1],
            patient_f1=best_slices_in_a_row(scores, labels)[1],
        )
