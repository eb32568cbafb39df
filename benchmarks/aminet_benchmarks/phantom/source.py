# SPDX-License-Identifier: Apache-2.0
"""Phantoms straight to prepared data: thousands of patients, no volumes on disk."""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.anatomy import AnatomyOrigin
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.patient import PhantomPatient, Twin
from aminet_benchmarks.phantom.version import GENERATOR_VERSION
from aminet_runtime.patient import Channel
from aminet_train.cohort.prepared_patient import CELL_GRID, PatientTruth, ScanInfo
from aminet_train.cohort.truth import TruthCollector

PHASE_OF_CHANNEL = {Channel.CTA1: 1, Channel.CTA2: 2, Channel.CTA3: 3}


class PhantomSource:
    """A phantom as a source of slices for `aminet_train.cohort.prepare.prepare_patient`.

    Args:
        patient: The phantom.
        name: Its patient id.
        channels: Wanted channels: phases, the SPIRAL-like map, the atlas.
    """

    def __init__(self, patient: PhantomPatient, name: str, channels: tuple[Channel, ...]) -> None:
        self._patient = patient
        self._name = name
        self._channels = channels
        self._phase_channels = [channel for channel in channels if channel in PHASE_OF_CHANNEL]

    @property
    def patient_id(self) -> str:
        """Name of the patient."""
        return self._name

    @property
    def group(self) -> str | None:
        """Key of the patients that may not be on two sides of a split: the traced tree."""
        return self._patient.group

    @property
    def slice_spacing_mm(self) -> float:
        """Distance of the slices."""
        return self._patient.grid.spacing_mm[2]

    def truth(self, grid: tuple[int, int] = CELL_GRID) -> PatientTruth:
        """Count labels and cells from the clot's voxels, without rendering HU.

        The SPIRAL-like map is rendered only where it is one of the channels: it takes as long as
        all slices that training keeps.
        """
        renderer = self._patient.renderer
        collector = TruthCollector(self._patient.grid.shape[2], grid)
        for index in renderer.clot_slices():
            collector.add_clot(index, clot=renderer.clot(index), atlas=renderer.atlas(index))
        if Channel.SPIRAL in self._channels:
            for index in range(self._patient.grid.shape[2]):
                spiral, atlas = renderer.spiral(index), renderer.atlas(index)
                collector.add_spiral(index, spiral=spiral, atlas=atlas)
        return collector.truth()

    def images_hu(self, indices: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Render the wanted slices."""
        phases = tuple(PHASE_OF_CHANNEL[channel] for channel in self._phase_channels)
        wants_spiral = Channel.SPIRAL in self._channels
        for index in indices.tolist():
            rendered = self._patient.slice(index, phases=phases, spiral=wants_spiral)
            planes = {
                **dict(zip(self._phase_channels, rendered.phases, strict=True)),
                Channel.SPIRAL: rendered.spiral,
                Channel.ATLAS: rendered.atlas.astype(np.float32),
            }
            yield index, np.stack([planes[channel] for channel in self._channels])

    def about(self) -> ScanInfo:
        """Return the grid, and as fingerprint a hash of what determines the voxels."""
        patient = self._patient
        return ScanInfo(
            shape=patient.grid.shape,
            spacing_mm=patient.grid.spacing_mm,
            fingerprint=fingerprint(
                patient.seed, patient.config, twin=patient.twin, origin=patient.anatomy.origin
            ),
            group=self.group,
        )


def fingerprint(seed: int, config: PhantomConfig, *, twin: Twin, origin: AnatomyOrigin) -> str:
    """Return a sha256 (hex) of what determines the voxels of a patient, without drawing him."""
    what = repr((GENERATOR_VERSION, seed, config, twin))
    if origin.kind != "grown":
        what += f" {sorted(origin.as_json().items())}"
    return hashlib.sha256(what.encode()).hexdigest()
