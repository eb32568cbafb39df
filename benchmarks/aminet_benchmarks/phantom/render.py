# SPDX-License-Identifier: Apache-2.0
"""From the model of a patient to the voxels of a slice."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.atlas import AtlasModel, atlas_slice
from aminet_benchmarks.phantom.deposits import streaks
from aminet_benchmarks.phantom.grid import Pose, ScanGrid, Window
from aminet_benchmarks.phantom.lumen import Beads, draw_lumen, draw_mask, take
from aminet_benchmarks.phantom.perfusion import BRAIN_DEPTH_MM, PerfusionModel, Plane
from aminet_benchmarks.phantom.scanner import Scanner, empty_scanner, shift_plane, to_stored_hu
from aminet_benchmarks.phantom.spiral_map import spiral_slice
from aminet_benchmarks.phantom.tissue import Layer, TissueModel
from aminet_benchmarks.phantom.tissue_hu import GREY_BLOOD, slice_tissue

Field = NDArray[np.float32]

SPIRAL_SLOPE = np.float32(1 / 10000)
AIR_MARGIN_MM = 2.0
ATLAS_STEP = 2  # pixels; atlases are registered at a lower resolution


@dataclass(frozen=True, slots=True)
class PhantomSlice:
    """One canonical LPS slice of a patient, exactly as the files hold it.

    Attributes:
        index: Number of the slice, 0 the lowest.
        phases: float32 [P, H, W], HU of the phases asked for.
        atlas: uint8 [H, W], region 0..14.
        clot: uint8 [H, W], 0, 1 or 2.
        spiral: float32 [H, W] 0..1, or None if it was not asked for.
    """

    index: int
    phases: Field
    atlas: NDArray[np.uint8]
    clot: NDArray[np.uint8]
    spiral: Field | None


@dataclass(frozen=True, slots=True)
class RenderModel:
    """All that the voxels of a patient follow from.

    Attributes:
        grid: Voxel grid.
        pose: Pose of the head.
        tissue: Tissue borders on a coarse grid.
        atlas: Atlas borders on a coarse grid.
        perfusion: Blood in the tissue on a coarse grid.
        beads: Vessels and deposits.
        metal: Those of the deposits that make streaks.
        node_hu: float32 [3, N], HU of the lumen or deposit at each node in each phase.
        node_clot: uint8 [N], value in the clot file of each node.
        scanner: Noise, misregistration and artefacts.
    """

    grid: ScanGrid
    pose: Pose
    tissue: TissueModel
    atlas: AtlasModel
    perfusion: PerfusionModel
    beads: Beads
    metal: Beads
    node_hu: Field
    node_clot: NDArray[np.uint8]
    scanner: Scanner


@dataclass(frozen=True, slots=True)
class Layers:
    """What one slice is composed of, sampled in a window around the head.

    Attributes:
        window: The pixels around the head.
        fields: float32 [len(Layer), H, W].
        slow: float32 [len(Plane), H, W].
    """

    window: Window
    fields: Field
    slow: Field


class SliceRenderer:
    """Renders slices of one patient; asking for fewer slices or phases costs less.

    Attributes:
        model: What the voxels follow from.
    """

    def __init__(self, model: RenderModel) -> None:
        self.model = model
        self._clot_beads = take(model.beads, model.node_clot[model.beads.node] > 0)
        self._clot_values = model.node_clot[self._clot_beads.node]

    def slice(self, index: int, *, phases: tuple[int, ...], spiral: bool) -> PhantomSlice:
        """Render one slice; see `PhantomPatient.slice`."""
        _check(index, phases, self.model.grid.shape[2])
        layers = self.layers(index)
        return PhantomSlice(
            index=index,
            phases=self._phases(index, phases, layers),
            atlas=self.atlas(index),
            clot=self.clot(index),
            spiral=self._spiral_of(layers) if spiral else None,
        )

    def atlas(self, index: int) -> NDArray[np.uint8]:
        """Render the atlas uint8 [H, W] of one slice, at half the resolution."""
        columns, rows, _ = self.model.grid.shape
        atlas = self.model.atlas
        low_rows, low_columns = -(-rows // ATLAS_STEP), -(-columns // ATLAS_STEP)
        window = Window(slice(0, low_rows), slice(0, low_columns), step=ATLAS_STEP)
        regions = atlas_slice(window.sample(atlas.grid, atlas.fields, index))
        wide = np.repeat(np.repeat(regions, ATLAS_STEP, axis=0), ATLAS_STEP, axis=1)
        return wide[:rows, :columns]

    def clot(self, index: int) -> NDArray[np.uint8]:
        """Render the clots uint8 [H, W] of one slice."""
        return draw_mask(self._clot_beads, self._clot_values, grid=self.model.grid, index=index)

    def spiral(self, index: int) -> Field:
        """Render the SPIRAL-like map float32 [H, W] of one slice."""
        return self._spiral_of(self.layers(index))

    def clot_slices(self) -> range:
        """Return the slices that may hold clot voxels."""
        heights = self._clot_beads.position[:, 2]
        if not len(heights):
            return range(0)
        step_mm, count = self.model.grid.spacing_mm[2], self.model.grid.shape[2]
        reach_mm = float(self._clot_beads.radius_mm.max()) + 1
        low = int(np.floor((float(heights.min()) - reach_mm) / step_mm))
        high = int(np.ceil((float(heights.max()) + reach_mm) / step_mm))
        return range(max(low, 0), min(high, count - 1) + 1)

    def layers(self, index: int) -> Layers:
        """Sample what a slice is composed of, in a window around the head."""
        tissue, perfusion = self.model.tissue, self.model.perfusion
        solid = tissue.fields[[Layer.SCALP, Layer.EXTRA_BONE]]
        near_head = tissue.grid.plane(solid, index).max(axis=0) > -AIR_MARGIN_MM
        window = tissue.grid.window_of(near_head)
        return Layers(
            window=window,
            fields=window.sample(tissue.grid, tissue.fields, index),
            slow=window.sample(perfusion.grid, perfusion.fields, index),
        )

    def _phases(self, index: int, phases: tuple[int, ...], layers: Layers) -> Field:
        """Render the phases [P, H, W] of one slice."""
        tissue = slice_tissue(layers.fields, self.model.tissue)
        of_grey = tissue.brain_blood * np.float32(1 / GREY_BLOOD)
        unenhanced = tissue.hu + layers.slow[Plane.SHADING] * np.minimum(of_grey, 1)
        external_hu = self.model.perfusion.external_hu(index)
        solid = np.maximum(layers.fields[Layer.SCALP], layers.fields[Layer.EXTRA_BONE])
        is_head = solid > -AIR_MARGIN_MM
        pixels, share, node = draw_lumen(self.model.beads, grid=self.model.grid, index=index)
        streak_hu = streaks(self.model.metal, grid=self.model.grid, index=index)
        columns, rows, _ = self.model.grid.shape
        out = np.empty((len(phases), rows, columns), np.float32)
        for number, phase in enumerate(phases):
            plane = out[number]
            plane[:] = self._empty
            window = plane[layers.window.rows, layers.window.columns]
            hu = unenhanced + tissue.brain_blood * layers.slow[phase - 1]
            hu += tissue.outer_blood * external_hu[phase - 1]
            np.copyto(window, hu, where=is_head)
            flat = plane.reshape(-1)
            flat[pixels] += share * (self.model.node_hu[phase - 1][node] - flat[pixels])
            if streak_hu is not None:
                plane += streak_hu
            self._scan(plane, phase, index, layers)
        return out

    def _scan(self, plane: Field, phase: int, index: int, layers: Layers) -> None:
        """Add what the scanner and the registration do to a plane [H, W], in place."""
        scanner = self.model.scanner
        gain = layers.slow[Plane.NOISE_GAIN]
        plane += scanner.noise(phase, index, gain=gain, window=layers.window)
        if phase > 1:
            plane[:] = shift_plane(plane, scanner.shifts_px[phase - 1])
        to_stored_hu(plane)

    @cached_property
    def _empty(self) -> Field:
        return empty_scanner(self.model.grid, self.model.pose)

    def _spiral_of(self, layers: Layers) -> Field:
        columns, rows, _ = self.model.grid.shape
        out = np.zeros((rows, columns), np.float32)
        depth = np.minimum(layers.fields[Layer.VAULT], layers.fields[Layer.BASE])
        brain = np.asarray(depth > BRAIN_DEPTH_MM, np.bool_)
        inside = spiral_slice(layers.slow[Plane.SPIRAL_LOGIT], brain)
        out[layers.window.rows, layers.window.columns] = inside
        return np.asarray(np.rint(out / SPIRAL_SLOPE) * SPIRAL_SLOPE, np.float32)


def _check(index: int, phases: tuple[int, ...], count: int) -> None:
    if not 0 <= index < count:
        raise IndexError(f"slice {index} is not one of the patient's 0 to {count - 1}")
    if not set(phases) <= {1, 2, 3}:
        raise ValueError(f"phases {phases} are not out of 1, 2, 3")
