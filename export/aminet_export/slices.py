# SPDX-License-Identifier: Apache-2.0
"""Slices for scoring: from patient folders at full size, or from the cache of training."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aminet_runtime.patient import Channel, PatientFolder, check_same_grid
from aminet_runtime.volume import Volume, slices_together
from aminet_train.prepared import IMAGE_LEVELS, PreparedPatient
from aminet_train.preprocessing import Preprocessing


def cached_slice_hu(
    patient: PreparedPatient, place: int, preprocessing: Preprocessing
) -> NDArray[np.float32]:
    """Return one cached slice as float32 [1, C, h, w] in HU, at the network's own size.

    At that size window and resize of the graph are the identity, so that the network sees what it
    saw in training.
    """
    image = patient.images()[place].astype(np.float32) / IMAGE_LEVELS
    hu: NDArray[np.float32] = preprocessing.to_hu(torch.from_numpy(image)[None]).numpy()
    return hu


def cached_slices_hu(
    patient: PreparedPatient, preprocessing: Preprocessing
) -> Iterator[NDArray[np.float32]]:
    """Yield all cached slices of a patient, lowest first."""
    for place in range(len(patient.kept)):
        yield cached_slice_hu(patient, place, preprocessing)


@dataclass(frozen=True, slots=True, eq=False)
class FolderSlice:
    """One slice of a patient folder at full size.

    Attributes:
        index: Canonical number, 0 the lowest.
        count: How many slices the patient has.
        slices_hu: float32 [1, C, H, W]; the same memory for all slices.
    """

    index: int
    count: int
    slices_hu: NDArray[np.float32]


def folder_slices(folder: Path, channels: tuple[Channel, ...]) -> Iterator[FolderSlice]:
    """Yield the slices of a patient folder, in stored order."""
    patient = PatientFolder.open(folder)
    with ExitStack() as stack:
        volumes = [stack.enter_context(Volume.open(patient.path_of(c))) for c in channels]
        check_same_grid(volumes)
        slices = np.empty((1, len(volumes), *volumes[0].shape[1:]), np.float32)
        for parts in slices_together(volumes):
            for volume, part, plane in zip(volumes, parts, slices[0], strict=True):
                volume.write_hu(part, plane)
            yield FolderSlice(parts[0].index, volumes[0].shape[0], slices)
