# SPDX-License-Identifier: Apache-2.0
"""Slices for scoring: from patient folders at full size, or from the cache of training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.patient import Channel, PatientFolder
from aminet_runtime.scan import Scan
from aminet_runtime.slice_window import fill_planes, window_step
from aminet_runtime.track_record import scan_fingerprint
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig, planes_of_views
from aminet_train.slice_window import SliceWindow


class CachedSlices(Protocol):
    """How the slices of prepared patients are shown to the engines."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape [1, C, h, w] of each slice."""
        ...

    def slice_hu(self, patient: PreparedPatient, number: int) -> NDArray[np.float32]:
        """Return one slice, with its neighbours, as float32 of this shape."""
        ...

    def all_slices_hu(self, patient: PreparedPatient) -> Iterator[NDArray[np.float32]]:
        """Yield all slices of a patient, the lowest first; his files are opened once."""
        ...


@dataclass(frozen=True, slots=True)
class CachedImages:
    """The images that training saw, turned back to HU.

    Attributes:
        preprocessing: Of the checkpoint.
        planes: Of the network's input: a view and a neighbour each.
    """

    preprocessing: Preprocessing
    planes: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape [1, C, h, w] at the size that the graph resizes to."""
        return (1, self.planes, *self.preprocessing.config.frame_px)

    def slice_hu(self, patient: PreparedPatient, number: int) -> NDArray[np.float32]:
        """Return a cached slice with its neighbours."""
        return cached_slice_hu(patient, number, self.preprocessing)

    def all_slices_hu(self, patient: PreparedPatient) -> Iterator[NDArray[np.float32]]:
        """Yield all cached slices; opening the images takes ten times as long as one slice."""
        images = patient.images()
        for number in range(patient.slice_count):
            yield cached_slice_hu(patient, number, self.preprocessing, images=images)


def cached_slice_hu(
    patient: PreparedPatient,
    number: int,
    preprocessing: Preprocessing,
    *,
    images: NDArray[np.uint8] | None = None,
) -> NDArray[np.float32]:
    """Return a cached slice with its neighbours as float32 [1, C, h, w] in HU.

    It has the size that the graph resizes to, at which window and resize are the identity, so that
    the network sees what it saw in training.

    Args:
        patient: With the images of the slice and of its neighbours.
        number: Canonical slice number.
        preprocessing: Of the checkpoint.
        images: The patient's, for callers that ask often.
    """
    numbers = np.array([number], np.int32)
    planes = patient.planes(numbers, preprocessing.window, images=images)
    hu: NDArray[np.float32] = preprocessing.to_hu(planes).numpy()
    return hu


@dataclass(frozen=True, slots=True, eq=False)
class FolderSlice:
    """One slice of a patient folder at full size.

    Attributes:
        index: Canonical number, 0 the lowest.
        count: How many slices the patient has.
        slices_hu: float32 [1, C, H, W]; may be the same memory for all slices.
    """

    index: int
    count: int
    slices_hu: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the slice as a network's input."""
        _one, channels, height, width = self.slices_hu.shape
        return (1, channels, height, width)


def folder_slices(
    folder: Path, config: PreprocessingConfig, window: SliceWindow
) -> Iterator[FolderSlice]:
    """Yield the slices of a patient folder with their neighbours, read as in the runtime.

    A channel with several windows has a plane for each, all of them alike.
    """
    channels, plane_of_view = config.channels, planes_of_views(config, window)
    with Scan.open(PatientFolder.open(folder), channels) as scan:
        count, height, width = scan.shape
        step = window_step(window.spacing_mm, slice_spacing_mm=scan.spacing_mm[2])
        slices_hu = np.empty((1, len(channels) * window.size, height, width), np.float32)
        for index in fill_planes(scan.slices(), slices_hu[0], window=window.size, step=step):
            shown = slices_hu if config.has_one_view_each else slices_hu[:, plane_of_view]
            yield FolderSlice(index, count, shown)


def folder_fingerprint(folder: Path, channels: tuple[Channel, ...]) -> str:
    """Read a patient folder to its end and return the fingerprint of its scan."""
    with Scan.open(PatientFolder.open(folder), channels) as scan:
        for _slice in scan.slices():
            pass
        return scan_fingerprint(scan.file_hashes())
