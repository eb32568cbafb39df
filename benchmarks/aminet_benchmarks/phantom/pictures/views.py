# SPDX-License-Identifier: Apache-2.0
"""Views of one patient: thick slabs as MIPs with the bone taken away, and single slices.

A MIP is gathered slice by slice, so that no volume is held.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.lumen import draw_lumen
from aminet_benchmarks.phantom.patient import PHASES, PhantomPatient
from aminet_benchmarks.phantom.render import PhantomSlice
from aminet_benchmarks.phantom.tissue import Layer
from aminet_benchmarks.phantom.vessels import Segment

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

WILLIS_Z_MM = (-26.0, 14.0)  # slab of the axial MIPs: from the siphon to the insula
CORONAL_Y_MM = (-24.0, 30.0)  # slab of the coronal MIP: from the basilar to the A2
LEVEL_Z_MM = (9.0, 14.0)  # of the thick slice: basal ganglia and the bodies of the ventricles
CLOT_MARGIN_MM = 12.0
BACKGROUND_HU = 0.0
BONE_MARGIN_MM = 2.5  # the inner table's edge and the orbital roofs go, too
INSIDE_VESSEL = 0.5  # share of a pixel
STEP = 2  # slices from one to the next of a MIP


@dataclass(frozen=True, slots=True)
class Views:
    """What the sheet shows of a patient.

    Attributes:
        axial: float32 [3, H, W], MIPs of the three phases at the circle of Willis.
        coronal: float32 [K, W], MIP of phase 1, the vertex first.
        coronal_step_mm: Height of its rows.
        level: One slice of atlas and map; its phase 2 is the mean of a slab of 5 mm.
        clot_slab: float32 [H, W], MIP of phase 1 around the clots, or at the circle of Willis.
        clot: bool [H, W], the clots seen from below.
        head: Rows and columns around the head.
        pixel_mm: Size of a pixel.
    """

    axial: Field
    coronal: Field
    coronal_step_mm: float
    level: PhantomSlice
    clot_slab: Field
    clot: Mask
    head: tuple[slice, slice]
    pixel_mm: float


def views_of(patient: PhantomPatient) -> Views:
    """Render the views of a patient at full size."""
    level = thick_slice(patient)
    axial = slab_mip(patient, slices_between(patient, *WILLIS_Z_MM)[::STEP], PHASES)
    clot, clot_indices = _clot_seen_from_below(patient)
    around = clot_indices[::STEP]
    return Views(
        axial=axial,
        coronal=coronal_mip(patient),
        coronal_step_mm=STEP * patient.grid.spacing_mm[2],
        level=level,
        clot_slab=slab_mip(patient, around, (1,))[0] if len(around) else axial[0],
        clot=clot,
        head=head_box(patient, level.index),
        pixel_mm=patient.grid.spacing_mm[0],
    )


def slices_between(patient: PhantomPatient, low_mm: float, high_mm: float) -> range:
    """Return the slices between two heights of the head frame, one at least."""
    heights = np.array([[0, 0, low_mm], [0, 0, high_mm]], np.float32)
    pose = patient.renderer.model.pose
    low, high = patient.grid.to_index(pose.to_scanner(heights))[:, 2]
    last = patient.grid.shape[2] - 1
    first = int(np.clip(low, 0, last))
    return range(first, max(int(np.clip(high, 0, last)), first) + 1)


def thick_slice(patient: PhantomPatient) -> PhantomSlice:
    """Return the slice in the middle of a slab, its phase 2 averaged over the slab."""
    indices = slices_between(patient, *LEVEL_Z_MM)
    planes = [patient.slice(index, phases=(2,), spiral=False).phases for index in indices]
    middle = patient.slice(indices[len(indices) // 2], phases=(2,))
    return replace(middle, phases=np.mean(planes, axis=0, dtype=np.float32))


def slab_mip(patient: PhantomPatient, indices: Iterable[int], phases: tuple[int, ...]) -> Field:
    """Return the axial MIPs [P, H, W] of a slab without bone."""
    columns, rows, _ = patient.grid.shape
    mip = np.full((len(phases), rows, columns), BACKGROUND_HU, np.float32)
    for index in indices:
        np.maximum(mip, without_bone(patient, index, phases), out=mip)
    return mip


def coronal_mip(patient: PhantomPatient) -> Field:
    """Return the coronal MIP [K, W] of phase 1 without bone, the vertex first."""
    grid, pose = patient.grid, patient.renderer.model.pose
    corners = np.array([[0, CORONAL_Y_MM[1], 0], [0, CORONAL_Y_MM[0], 0]], np.float32)
    rows = grid.to_index(pose.to_scanner(corners))[:, 1].astype(int)
    front, back = rows.clip(0, grid.shape[1] - 1).tolist()
    back = max(back, front + 1)  # where few rows do not reach the slab, the nearest stands for it
    lines = [
        without_bone(patient, index, (1,))[0, front:back].max(axis=0)
        for index in range(0, grid.shape[2], STEP)
    ]
    return np.asarray(np.stack(lines[::-1]), np.float32)


def without_bone(patient: PhantomPatient, index: int, phases: tuple[int, ...]) -> Field:
    """Render a slice [P, H, W] and keep what is in the cranial cavity or in a brain vessel.

    It does what software for bone removal aims at, with the model's own borders.
    """
    planes = patient.slice(index, phases=phases, spiral=False).phases
    return np.where(_cavity(patient, index) | _brain_vessels(patient, index), planes, BACKGROUND_HU)


def head_box(patient: PhantomPatient, index: int) -> tuple[slice, slice]:
    """Return the rows and columns around the cranial cavity of a slice."""
    rows, columns = np.nonzero(_cavity(patient, index))
    margin = int(np.ceil(8 / patient.grid.spacing_mm[0]))
    spans = []
    for ticks, length in zip((rows, columns), patient.grid.shape[1::-1], strict=True):
        low, high = (int(ticks.min()), int(ticks.max())) if len(ticks) else (0, length - 1)
        spans.append(slice(max(low - margin, 0), min(high + margin + 1, length)))
    return spans[0], spans[1]


def _cavity(patient: PhantomPatient, index: int) -> Mask:
    columns, rows, _ = patient.grid.shape
    layers = patient.renderer.layers(index)
    mask = np.zeros((rows, columns), np.bool_)
    depth = np.minimum(layers.fields[Layer.VAULT], layers.fields[Layer.BASE])
    soft = np.maximum(layers.fields[Layer.EXTRA_BONE], layers.fields[Layer.AIR]) < -1
    mask[layers.window.rows, layers.window.columns] = (depth > BONE_MARGIN_MM) & soft
    return mask


def _brain_vessels(patient: PhantomPatient, index: int) -> Mask:
    grid, model = patient.grid, patient.renderer.model
    pixels, share, node = draw_lumen(model.beads, grid=grid, index=index)
    segment = patient.anatomy.vessels.segment
    is_vessel = node < len(segment)  # the others are plaques and metal
    kind = segment[np.where(is_vessel, node, 0)]
    kept = is_vessel & (share > INSIDE_VESSEL) & (kind != Segment.EXTERNAL)
    mask = np.zeros(grid.shape[1] * grid.shape[0], np.bool_)
    mask[pixels[kept]] = True
    return mask.reshape(grid.shape[1], grid.shape[0])


def _clot_seen_from_below(patient: PhantomPatient) -> tuple[Mask, range]:
    """Return the projection [H, W] of all clots, and the slices around them."""
    grid, renderer = patient.grid, patient.renderer
    seen = np.zeros((grid.shape[1], grid.shape[0]), np.bool_)
    holding = []
    for index in renderer.clot_slices():
        clot = renderer.clot(index) > 0
        if clot.any():
            seen |= clot
            holding.append(index)
    if not holding:
        return seen, range(0)
    margin = int(CLOT_MARGIN_MM / grid.spacing_mm[2])
    return seen, range(max(holding[0] - margin, 0), min(holding[-1] + margin, grid.shape[2] - 1))
