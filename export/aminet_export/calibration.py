# SPDX-License-Identifier: Apache-2.0
"""Which slices calibrate the quantiser: of training patients only, spread over height and clot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_export.slices import cached_slice_hu
from aminet_runtime.errors import InputMissing
from aminet_train.prepared import PreparedPatient
from aminet_train.preprocessing import Preprocessing

SLICES = 300
"""NNCF's own default; more did not change the ranges."""


@dataclass(frozen=True, slots=True)
class CalibrationSlice:
    """One slice of one training patient: its place among the kept slices and its number."""

    patient: PreparedPatient
    place: int

    @property
    def index(self) -> int:
        """Canonical slice number."""
        return int(self.patient.kept[self.place])


def choose_calibration(
    patients: Sequence[PreparedPatient], *, count: int = SLICES, seed: int = 0
) -> list[CalibrationSlice]:
    """Draw slices evenly over patients; within a patient, at random over its height.

    Raises:
        InputMissing: There are no training patients.
    """
    if not patients:
        raise InputMissing("there are no training patients to calibrate on", hint="check --data")
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(patients))
    chosen = []
    for number in range(count):
        patient = patients[order[number % len(patients)]]
        chosen.append(CalibrationSlice(patient, int(generator.integers(len(patient.kept)))))
    return chosen


def calibration_hu(
    slices: Sequence[CalibrationSlice], preprocessing: Preprocessing
) -> Iterator[NDArray[np.float32]]:
    """Yield each slice as float32 [1, C, h, w] in HU at the network's own size.

    At that size window and resize of the graph are the identity, so the network sees what it saw
    in training.
    """
    for chosen in slices:
        yield cached_slice_hu(chosen.patient, chosen.place, preprocessing)


def describe(slices: Sequence[CalibrationSlice]) -> dict[str, object]:
    """Return what calibration.json holds: fingerprints of patients and numbers of their slices."""
    by_patient: dict[str, list[int]] = {}
    for chosen in slices:
        by_patient.setdefault(chosen.patient.fingerprint, []).append(chosen.index)
    return {
        "count": len(slices),
        "patients": [
            {"fingerprint": fingerprint, "slices": sorted(indices)}
            for fingerprint, indices in sorted(by_patient.items())
        ],
    }
