# SPDX-License-Identifier: Apache-2.0
"""Slices for scoring: from patient folders at full size, or from the cache of training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aminet_runtime.patient import Channel, PatientFolder
from aminet_runtime.scan import Scan
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
    """Yield the slices of a patient folder, in stored order, read as the runtime reads them."""
    with Scan.open(PatientFolder.open(folder), channels) as scan:
        count, height, width = scan.shape
        slices_hu = np.empty((1, len(channels), height, width), np.float32)
        for index, write_hu in scan.slices():
            write_hu(slices_hu[0])
            yield FolderSlice(index, count, slices_hu)
