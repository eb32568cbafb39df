# SPDX-License-Identifier: Apache-2.0
"""From the model of a patient to the voxels of a slice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.atlas import AtlasModel, atlas_slice
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.grid import Pose, ScanGrid, Window
from aminet_benchmarks.phantom.lumen import Beads, draw_lumen, draw_mask, take
from aminet_benchmarks.phantom.perfusion import PerfusionModel, spiral_slice
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.scanner import SliceNoise, empty_scanner, shift_plane, to_stored_hu
from aminet_benchmarks.phantom.tissue import (
    FIELDS,
    GREY_BLOOD,
    TissueModel,
    slice_bone,
    slice_tissue,
)

SPIRAL_SLOPE = np.float32(1 / 10000)
BRAIN_DEPTH_MM = 1.0
AIR_MARGIN_MM = 2.0


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
    phases: NDArray[np.float32]
    atlas: NDArray[np.uint8]
    clot: NDArray[np.uint8]
    spiral: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class RenderModel:
    """All that the voxels of a patient follow from, without noise.

    Attributes:
        grid: Voxel grid.
        pose: Pose of the head.
        tissue: Tissue borders on a coarse grid.
        atlas: Atlas borders on a coarse grid.
        perfusion: Blood in the tissue on a coarse grid.
        beads: Vessels.
        node_hu: float32 [3, N], HU of the lumen at each vessel node in each phase.
        node_clot: uint8 [N], value in the clot file of each vessel node.
    """

    grid: ScanGrid
    pose: Pose
    tissue: TissueModel
    atlas: AtlasModel
    perfusion: PerfusionModel
    beads: Beads
    node_hu: NDArray[np.float32]
    node_clot: NDArray[np.uint8]


class SliceRenderer:
    """Renders slices of one patient; asking for fewer slices or phases costs less."""

    __slots__ = ("_clot_beads", "_clot_values", "_empty", "_model", "_noise", "_shifts_px")

    def __init__(self, model: RenderModel, *, seed: int, config: PhantomConfig) -> None:
        self._model = model
        rng = stream(seed, "scanner")
        self._noise = SliceNoise(
            model.grid, seed=seed, sd_hu=float(rng.uniform(*config.noise_sd_hu))
        )
        sd_px = config.misregistration_mm / model.grid.spacing_mm[0]
        self._shifts_px = np.vstack([np.zeros((1, 2)), rng.normal(0, sd_px, (2, 2)).clip(-3, 3)])
        is_clot = model.node_clot[model.beads.node] > 0
        self._clot_beads = take(model.beads, is_clot)
        self._clot_values = model.node_clot[self._clot_beads.node]
        self._empty: NDArray[np.float32] | None = None

    def slice(self, index: int, *, phases: tuple[int, ...], spiral: bool) -> PhantomSlice:
        """Render one slice; see `PhantomPatient.slice`."""
        _check_index(index, self._model.grid.shape[2])
        window = self._window(index)
        tissue = self._model.tissue
        fields = window.sample(tissue.grid, tissue.fields, index)
        slow = window.sample(self._model.perfusion.grid, self._model.perfusion.fields, index)
        return PhantomSlice(
            index=index,
            phases=self._phases(index, phases, fields, slow, window),
            atlas=self.atlas(index),
            clot=self.clot(index),
            spiral=self._spiral(fields, slow, window) if spiral else None,
        )

    def atlas(self, index: int) -> NDArray[np.uint8]:
        """Render the atlas uint8 [H, W] of one slice, at half the resolution."""
        columns, rows, _ = self._model.grid.shape
        atlas = self._model.atlas
        half = Window(slice(0, (rows + 1) // 2), slice(0, (columns + 1) // 2), step=2)
        regions = atlas_slice(half.sample(atlas.grid, atlas.fields, index))
        return np.repeat(np.repeat(regions, 2, axis=0), 2, axis=1)[:rows, :columns]

    def clot(self, index: int) -> NDArray[np.uint8]:
        """Render the clots uint8 [H, W] of one slice."""
        return draw_mask(self._clot_beads, self._clot_values, grid=self._model.grid, index=index)

    def clot_slices(self) -> range:
        """Return the slices that may hold clot voxels."""
        heights = self._clot_beads.position[:, 2]
        if not len(heights):
            return range(0)
        _, _, step = self._model.grid.spacing_mm
        reach = float(self._clot_beads.radius_mm.max()) + 1
        low = max(int(np.floor((float(heights.min()) - reach) / step)), 0)
        high = min(
            int(np.ceil((float(heights.max()) + reach) / step)), self._model.grid.shape[2] - 1
        )
        return range(low, high + 1)

    def _window(self, index: int) -> Window:
        """Return the pixels around the head in one slice."""
        tissue = self._model.tissue
        scalp = tissue.grid.plane(tissue.fields[:1], index)[0]
        extra = tissue.grid.plane(tissue.fields[FIELDS.index("extra_bone")][None], index)[0]
        return tissue.grid.window_of(np.maximum(scalp, extra) > -AIR_MARGIN_MM)

    def _phases(self, index, phases, fields, slow, window) -> NDArray[np.float32]:
        columns, rows, _ = self._model.grid.shape
        hu, blood = slice_tissue(fields, self._model.tissue.head)
        slice_bone(hu, blood, fields, self._model.tissue.head)
        hu += slow[3] * np.minimum(blood * np.float32(1 / GREY_BLOOD), 1)
        pixels, share, node = draw_lumen(self._model.beads, grid=self._model.grid, index=index)
        out = np.empty((len(phases), rows, columns), np.float32)
        for plane, phase in zip(out, phases, strict=True):
            plane[:] = self._empty_scanner()
            inside = plane[window.rows, window.columns]
            head = hu + blood * slow[phase - 1]
            is_head = fields[0] > -AIR_MARGIN_MM
            np.copyto(inside, head, where=is_head | (fields[4 - 1] > -AIR_MARGIN_MM))
            flat = plane.reshape(-1)
            flat[pixels] += share * (self._model.node_hu[phase - 1][node] - flat[pixels])
            plane += self._scaled_noise(phase - 1, index, slow[4], window)
            if phase > 1:
                plane[:] = shift_plane(plane, tuple(self._shifts_px[phase - 1]))
            to_stored_hu(plane)
        return out

    def _scaled_noise(self, phase, index, gain, window) -> NDArray[np.float32]:
        noise = self._noise.plane(phase, index)
        noise[window.rows, window.columns] *= gain * np.float32(1 / 0.6)
        noise *= np.float32(0.6)
        return noise

    def _empty_scanner(self) -> NDArray[np.float32]:
        if self._empty is None:
            self._empty = empty_scanner(self._model.grid, self._model.pose)
        return self._empty

    def _spiral(self, fields, slow, window) -> NDArray[np.float32]:
        columns, rows, _ = self._model.grid.shape
        out = np.zeros((rows, columns), np.float32)
        vault, base = fields[FIELDS.index("vault")], fields[FIELDS.index("base")]
        brain = np.minimum(vault, base) > BRAIN_DEPTH_MM
        out[window.rows, window.columns] = spiral_slice(slow[5], brain)
        return np.rint(out / SPIRAL_SLOPE).astype(np.float32) * SPIRAL_SLOPE


def _check_index(index: int, count: int) -> None:
    if not 0 <= index < count:
        raise IndexError(f"slice {index} is not one of the patient's 0 to {count - 1}")
