# SPDX-License-Identifier: Apache-2.0
"""Which slices calibrate the quantiser: of training patients only, spread over what they show.

Half of the slices hold clot, the regions taking turns; the other half are spread over the height
of the head. Within both, patients take turns. So a rare region, a rare height and a small patient
all leave their mark on the ranges.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_export.slices import cached_slice_hu
from aminet_runtime.errors import InputDamaged, InputInconsistent, InputMissing
from aminet_runtime.regions import REGION_COUNT
from aminet_train.cohort.patients import held_out_among
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import HELD_OUT, Split
from aminet_train.preprocessing import Preprocessing
from aminet_train.slice_window import SliceWindow

SLICES = 300
"""NNCF's own default; more did not change the ranges."""

HEIGHT_BANDS = 6
"""Of about 25 mm each: neck and skull base, the large arteries, ventricles, convexity, air."""


@dataclass(frozen=True, slots=True)
class CalibrationSlice:
    """One slice of one training patient, by its canonical number."""

    patient: PreparedPatient
    index: int

    @property
    def fingerprint(self) -> str:
        """sha256 of the slice's cached image."""
        place = int(np.searchsorted(self.patient.kept, self.index))
        return hashlib.sha256(self.patient.images()[place].tobytes()).hexdigest()


def choose_calibration(
    patients: Sequence[PreparedPatient],
    window: SliceWindow,
    *,
    count: int = SLICES,
    seed: int = 0,
) -> list[CalibrationSlice]:
    """Draw slices of training patients, none twice.

    Args:
        patients: Training patients.
        window: Neighbours that the network looks at; they must be cached, too.
        count: How many slices at most; fewer where fewer are kept.
        seed: Of the draw.

    Raises:
        InputMissing: There is nothing to calibrate on.
    """
    slices = [CalibrationSlice(p, int(number)) for p in patients for number in p.drawable(window)]
    if count < 1 or not slices:
        raise InputMissing("there are no training slices to calibrate on", hint="check --data")
    generator = np.random.default_rng(seed)
    taken: dict[int, None] = {}  # in the order of the draw
    for turn in _turns(slices, generator):
        if len(taken) == min(count, len(slices)):
            break
        taken.update(dict.fromkeys(itertools.islice((n for n in turn if n not in taken), 1)))
    return [slices[number] for number in taken]


def require_training_only(
    slices: Sequence[CalibrationSlice], patients: Mapping[Split, Sequence[PreparedPatient]]
) -> None:
    """Prove that no slice is of a validation or test patient.

    Raises:
        InputInconsistent: One is; the message names its patient.
    """
    used = {chosen.patient.fingerprint: chosen.patient.patient_id for chosen in slices}
    seen = held_out_among(patients, used)
    if seen is not None:
        split, patient = seen
        raise InputInconsistent(
            f"{used[patient.fingerprint]} calibrates, but is a {split} patient",
            hint="calibrate on training patients only",
        )


def calibration_hu(chosen: CalibrationSlice, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return a slice as float32 [1, C, h, w] in HU at the network's own size.

    At that size window and resize of the graph are the identity, so the network sees what it saw
    in training.

    Raises:
        InputDamaged: A value is not finite: it would make every range of the network infinite.
    """
    slices_hu = cached_slice_hu(chosen.patient, chosen.index, preprocessing)
    if not np.isfinite(slices_hu).all():
        raise InputDamaged(
            f"slice {chosen.index} of {chosen.patient.patient_id} holds values that are not finite",
            path=chosen.patient.folder,
            hint="delete the folder, prepare again",
        )
    return slices_hu


def describe(
    slices: Sequence[CalibrationSlice],
    patients: Mapping[Split, Sequence[PreparedPatient]],
    *,
    seed: int,
) -> dict[str, object]:
    """Return what calibration.json holds: what calibrated, and what it is disjoint from."""
    by_patient: dict[str, list[CalibrationSlice]] = {}
    for chosen in slices:
        by_patient.setdefault(chosen.patient.fingerprint, []).append(chosen)
    return {
        "count": len(slices),
        "seed": seed,
        "patients": [
            {"fingerprint": fingerprint, "slices": _by_number(by_patient[fingerprint])}
            for fingerprint in sorted(by_patient)
        ],
        "disjoint_from": {
            split.value: sorted(patient.fingerprint for patient in patients[split])
            for split in HELD_OUT
        },
    }


def _by_number(slices: Sequence[CalibrationSlice]) -> list[dict[str, int | str]]:
    ordered = sorted(slices, key=lambda chosen: chosen.index)
    return [{"index": chosen.index, "sha256": chosen.fingerprint} for chosen in ordered]


def _turns(
    slices: Sequence[CalibrationSlice], generator: np.random.Generator
) -> Iterator[Iterator[int]]:
    """Yield region, band of height, region, band of height ... without end, each a stratum."""
    regions: list[list[int]] = [[] for _ in range(REGION_COUNT)]
    bands: list[list[int]] = [[] for _ in range(HEIGHT_BANDS)]
    for number, chosen in enumerate(slices):
        for region in np.flatnonzero(chosen.patient.truth.labels[chosen.index]).tolist():
            regions[region].append(number)
        bands[chosen.index * HEIGHT_BANDS // chosen.patient.slice_count].append(number)
    by_height = [iter(_patients_in_turn(band, slices, generator)) for band in bands]
    by_region = [iter(_patients_in_turn(part, slices, generator)) for part in regions if part]
    pairs = zip(itertools.cycle(by_region or by_height), itertools.cycle(by_height), strict=False)
    return itertools.chain.from_iterable(pairs)


def _patients_in_turn(
    stratum: Sequence[int],
    slices: Sequence[CalibrationSlice],
    generator: np.random.Generator,
) -> list[int]:
    """Shuffle, then let each patient give its first slice before one gives its second."""
    given: Counter[str] = Counter()
    ranked: list[tuple[int, int, int]] = []
    for number in generator.permutation(np.array(stratum, np.int64)).tolist():
        patient = slices[number].patient.fingerprint
        ranked.append((given[patient], len(ranked), number))
        given[patient] += 1
    return [number for _rank, _position, number in sorted(ranked)]
