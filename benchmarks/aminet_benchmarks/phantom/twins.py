# SPDX-License-Identifier: Apache-2.0
"""A patient beside its clot-free twin: what flow says may differ, and what does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from aminet_benchmarks.phantom.lumen import Beads, draw_lumen, take
from aminet_benchmarks.phantom.patient import PHASES, PhantomPatient, make_patient
from aminet_benchmarks.phantom.perfusion import Plane
from aminet_benchmarks.phantom.tissue import Layer
from aminet_benchmarks.phantom.tissue_hu import EDGE_MM

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

TISSUE_PLANES = (Plane.PHASE_1, Plane.PHASE_2, Plane.PHASE_3)


@dataclass(frozen=True, slots=True)
class TwinSlice:
    """The same slice of a patient and of its clot-free twin.

    Attributes:
        phases: float32 [3, H, W], HU of the patient.
        change: float32 [3, H, W], the patient's HU less the twin's.
        vessels: bool [H, W], pixels near a vessel or clot whose blood differs.
        tissue: bool [H, W], pixels whose tissue is fed through a vessel whose blood differs.
    """

    phases: Field
    change: Field
    vessels: Mask
    tissue: Mask

    @property
    def unexplained(self) -> Mask:
        """Mark what differs, in any phase, outside of vessels and tissue that may."""
        return np.asarray((self.change != 0).any(axis=0) & ~self.vessels & ~self.tissue, np.bool_)


class Twins:
    """A patient and its clot-free twin.

    Attributes:
        patient: The patient.
        healthy: The same head without clots.
    """

    def __init__(self, patient: PhantomPatient) -> None:
        self.patient = patient
        self.healthy = make_patient(
            patient.seed, patient.config, twin="none", anatomy=patient.anatomy
        )
        model = patient.renderer.model
        self._changed_beads = _changed_beads(patient, self.healthy)
        shifts = np.abs(model.scanner.shifts_px).max()
        self._margin_px = int(np.ceil(shifts))  # phases 2 and 3 are resampled

    def slice(self, index: int) -> TwinSlice:
        """Compare one slice in all phases."""
        phases = self.patient.slice(index, phases=PHASES, spiral=False).phases
        healthy = self.healthy.slice(index, phases=PHASES, spiral=False).phases
        return TwinSlice(
            phases=phases,
            change=phases - healthy,
            vessels=self._spread(self._vessels(index)),
            tissue=self._spread(self._tissue(index)),
        )

    def _vessels(self, index: int) -> Mask:
        columns, rows, _ = self.patient.grid.shape
        mask = np.zeros(rows * columns, np.bool_)
        mask[draw_lumen(self._changed_beads, grid=self.patient.grid, index=index)[0]] = True
        return mask.reshape(rows, columns)

    def _tissue(self, index: int) -> Mask:
        columns, rows, _ = self.patient.grid.shape
        layers = self.patient.renderer.layers(index)
        other = self.healthy.renderer.layers(index)
        planes = list(TISSUE_PLANES)
        mask = np.zeros((rows, columns), np.bool_)
        differs = (layers.slow[planes] != other.slow[planes]).any(axis=0)
        brain_mm = np.minimum(layers.fields[Layer.VAULT], layers.fields[Layer.BASE])
        mask[layers.window.rows, layers.window.columns] = differs & (brain_mm > -EDGE_MM)
        return mask

    def _spread(self, mask: Mask) -> Mask:
        if not self._margin_px:
            return mask
        square = np.ones((3, 3), np.bool_)
        return np.asarray(binary_dilation(mask, square, iterations=self._margin_px), np.bool_)


def _changed_beads(patient: PhantomPatient, healthy: PhantomPatient) -> Beads:
    """Return the vessels whose HU differ in any phase."""
    model = patient.renderer.model
    changed = (model.node_hu != healthy.renderer.model.node_hu).any(axis=0)
    return take(model.beads, np.asarray(changed[model.beads.node], np.bool_))
