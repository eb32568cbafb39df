# SPDX-License-Identifier: Apache-2.0
"""What the probes see of each patient: a stack of small slices, with and without its vessels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.figures import spiral_of_regions
from aminet_benchmarks.phantom.patient import make_patient
from aminet_benchmarks.phantom.probe.masking import Surroundings, vessel_mask
from aminet_benchmarks.phantom.probe.pose import pose_features
from aminet_benchmarks.phantom.threads import map_single_threaded

Field = NDArray[np.float32]
Stack = NDArray[np.float16]

SLICE_STEP = 3  # one slice in three is rendered, 7.5 mm apart
IMAGE_PX = 64
WINDOW_HU = (0.0, 120.0)  # brain with contrast; vessels and bone saturate
SHOWN, MASKED, CONTROL = "vessels shown", "vessels masked", "masked, tissue of the twin"


@dataclass(frozen=True, slots=True)
class ProbePatient:
    """One patient as the probes see it.

    Attributes:
        images: By kind, float16 [S, 3, IMAGE_PX, IMAGE_PX], three phases windowed to 0..1:
            `SHOWN` as scanned; `MASKED` without vessels; `CONTROL` without vessels and with the
            tissue of the clot-free twin.
        spiral: float32 [S, 15], highest value of the SPIRAL-like map in each region.
        pose: float32 [S, F], see `pose.FEATURES`.
        slice_labels: bool [S, 15], regions with clot in each slice.
        patient_labels: bool [15], in any slice of the patient, rendered or not.
    """

    images: dict[str, Stack]
    spiral: Field
    pose: Field
    slice_labels: NDArray[np.bool_]
    patient_labels: NDArray[np.bool_]


def probe_patients(
    seeds: Sequence[int], config: PhantomConfig, *, jobs: int
) -> Iterator[ProbePatient]:
    """Make patients one by one, or on several cores."""
    yield from map_single_threaded(probe_patient, seeds, [config] * len(seeds), jobs=jobs)


def probe_patient(seed: int, config: PhantomConfig) -> ProbePatient:
    """Make one patient and its clot-free twin, and show some slices of both.

    Where the vessels are masked, all that is left of the clot is what it does to the tissue. With
    the tissue of the twin that is gone, too: such a slice is a masked slice of the twin.
    """
    patient = make_patient(seed, config)
    twin = make_patient(seed, config, twin="none", anatomy=patient.anatomy)
    labels = patient.labels > 0
    indices = range(0, patient.grid.shape[2], SLICE_STEP)
    shown: dict[str, list[Stack]] = {SHOWN: [], MASKED: [], CONTROL: []}
    pose = []
    for index in indices:
        phases = patient.slice(index, spiral=False).phases
        healthy = twin.slice(index, spiral=False).phases
        mask = vessel_mask(patient, index)
        around = Surroundings(mask, pixel_mm=patient.grid.spacing_mm[0])
        pose.append(pose_features(phases[0], patient.grid, index))
        shown[SHOWN].append(_small(phases))
        shown[MASKED].append(_small(around.paint_all(phases)))
        shown[CONTROL].append(_small(around.paint_all(healthy)))
    return ProbePatient(
        images={kind: np.stack(stack) for kind, stack in shown.items()},
        spiral=np.stack([spiral_of_regions(patient, index) for index in indices]),
        pose=np.stack(pose),
        slice_labels=labels[indices],
        patient_labels=np.asarray(labels.any(axis=0), np.bool_),
    )


def _small(phases: Field) -> Stack:
    """Window phases [P, H, W] to 0..1 and average them to [P, IMAGE_PX, IMAGE_PX]."""
    low, high = WINDOW_HU
    windowed = np.clip((phases - low) / (high - low), 0, 1)
    count, rows, columns = windowed.shape
    blocks = (IMAGE_PX, rows // IMAGE_PX, IMAGE_PX, columns // IMAGE_PX)
    return np.asarray(windowed.reshape(count, *blocks).mean(axis=(2, 4)), np.float16)
