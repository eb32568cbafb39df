# SPDX-License-Identifier: Apache-2.0
"""Does the graph that ships prepare a slice as the training cache was prepared?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray

from aminet_export.openvino_scorer import compile_like_runtime
from aminet_export.resizing import front_resizes
from aminet_export.slices import folder_fingerprint
from aminet_export.source import Source
from aminet_runtime.errors import GateFailed
from aminet_train.cohort.prepared_patient import IMAGE_LEVELS, PreparedPatient

MAX_DIFFERENCE = 0.51 / IMAGE_LEVELS
"""The cache rounds to 8 bits, which is half a level; the rest is float32 in another order."""

CASE_PREPROCESSING = 5

NetworkInput = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Slices float32 [1, C, H, W] in HU to what is cached of them, float32 [1, C, h, w] in 0..1."""


def network_input(model: ov.Model, shape: tuple[int, int, int, int]) -> NetworkInput | None:
    """Return window and resize of an exported graph; None if it has no resize."""
    copy = model.clone()
    resizes = [node.output(0) for node in front_resizes(copy)]
    if not resizes:
        return None
    part = ov.Model(resizes, copy.get_parameters(), "window and resize")
    request = compile_like_runtime(part, shape, threads=1).create_infer_request()

    def run(slices_hu: NDArray[np.float32]) -> NDArray[np.float32]:
        answers = request.infer([slices_hu])
        views = np.concatenate([answers[place] for place in range(len(resizes))], axis=1)
        # slices that are seen alone come one after the other: for each view, low to high
        return views.swapaxes(0, 1).reshape(1, -1, *views.shape[2:])

    return run


def folder_difference(model: ov.Model, source: Source, folder: Path) -> float:
    """Compare a patient folder at full size, slice by slice.

    Where the folder's scan is among the prepared patients, its cache is the reference; otherwise
    the preprocessing of the checkpoint, in torch, with the cache's rounding.

    Returns:
        The largest difference, in the units 0..1 of the network's input.
    """
    channels, window = source.info.preprocessing.channels, source.info.window
    patient = _patient_of(source, folder_fingerprint(folder, channels))
    largest, run = 0.0, None
    for part in source.folder_slices(folder):
        run = run or network_input(model, part.shape)
        if run is None:
            return 0.0
        wanted = _rounded_in_torch(source, part.slices_hu)
        if patient is not None and part.index in patient.drawable(window):
            wanted = source.cached_planes(patient, part.index)
        largest = max(largest, float(np.abs(run(part.slices_hu) - wanted).max()))
    return largest


def require_same_preprocessing(difference: float) -> None:
    """Refuse a graph that shows the network something else than training did.

    Raises:
        GateFailed: They differ by more than the cache's rounding.
    """
    if not difference <= MAX_DIFFERENCE:  # NaN fails, too
        raise GateFailed(
            f"window and resize differ by {difference:.2g} from the training cache, "
            f"more than its rounding of {MAX_DIFFERENCE:.2g}",
            case=CASE_PREPROCESSING,
            hint="prepare the data again with this version",
        )


def _patient_of(source: Source, fingerprint: str) -> PreparedPatient | None:
    patients = (patient for split in source.patients.values() for patient in split)
    return next((patient for patient in patients if patient.fingerprint == fingerprint), None)


def _rounded_in_torch(source: Source, slices_hu: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        views = source.model.preprocessing.views(torch.from_numpy(slices_hu)).numpy()
    rounded: NDArray[np.float32] = np.rint(views * IMAGE_LEVELS) / np.float32(IMAGE_LEVELS)
    return rounded
