# SPDX-License-Identifier: Apache-2.0
"""A head-CT template as signed distances of its tissues, in its own frame.

The template is a mean of many heads and blurred. Its borders are read off at a threshold and kept
as distances, so that a rendered head has sharp edges again; what no mean can hold (sulci, texture,
falx and tentorium, deep nuclei) is laid over it as for grown heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_closing,
    binary_fill_holes,
    binary_opening,
    distance_transform_edt,
    gaussian_filter,
    generate_binary_structure,
    label,
    map_coordinates,
)

from aminet_benchmarks.phantom.real.folder import TemplateImages

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

HEAD_HU = -400.0
BONE_HU = 190.0  # the mean of many skulls is blurred; their tables are 800 to 1500
FACE_BONE_HU = 110.0  # faces differ more, and their mean is fainter
AIR_HU = -350.0
STRIPPED_SHARE = 0.2  # of the brain's value, where the stripped template ends
CSF_PROBABILITY = 0.55
SKULL_REACH_MM = 14.0  # bone within this distance of the cavity belongs to its wall
THINNEST_WALL_MM = 2.5
VENTRICLE_BOX_MM = ((-40.0, 40.0), (-72.0, 40.0), (-26.0, 32.0))
VENTRICLE_DEPTH_MM = 20.0
SMOOTHING = 0.6  # voxels, of the staircase of a mask
PAD = 6  # voxels of air around the template, so that no head touches its border


class Border(IntEnum):
    """The fields of a `HeadTemplate`; positive is inside."""

    SCALP = 0
    SKULL = 1  # the outer surface of the skull, the cavity included
    CAVITY = 2
    FACE_BONE = 3  # bone that is no wall of the cavity
    AIR = 4  # sinuses, mastoid cells, throat
    VENTRICLE = 5
    CISTERN = 6


@dataclass(frozen=True, slots=True)
class HeadTemplate:
    """Signed distances of the tissues of a template.

    Attributes:
        fields: float32 [len(Border), Z, H, W], mm, canonical LPS.
        to_index: float64 [3, 4], RAS mm to fractional (column, row, slice).
    """

    fields: Field
    to_index: NDArray[np.float64]

    def sample(self, points: Field) -> Field:
        """Interpolate all fields at points [..., 3] mm; returns [len(Border), ...]."""
        return np.stack([self.sample_one(border, points) for border in Border])

    def sample_one(self, border: Border, points: Field) -> Field:
        """Interpolate one field at points [..., 3] mm; below the template it goes on as it ends."""
        index = points @ self.to_index[:, :3].T + self.to_index[:, 3]
        order = np.moveaxis(index[..., ::-1], -1, 0)  # (column, row, slice) -> (slice, row, column)
        sampled = map_coordinates(self.fields[border], order, order=1, mode="nearest")
        return np.asarray(sampled, np.float32)


def build_template(images: TemplateImages) -> HeadTemplate:
    """Read the borders of the tissues off the images of a template."""
    affine = images.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1) * PAD
    inverse = np.asarray(np.linalg.inv(affine)[:3], np.float64)
    voxel_mm = np.abs(affine[[2, 1, 0], [2, 1, 0]])  # of slices, rows, columns
    masks = _masks(images, affine, voxel_mm)
    fields = np.stack([signed_distance_mm(masks[border], voxel_mm) for border in Border])
    inverse[2, 3] -= PAD  # the slices added below have done their service
    return HeadTemplate(fields=fields[:, PAD:], to_index=inverse)


def cormack_to_hu(cormack: Field) -> Field:
    """Return HU of a template in Cormack units.

    Source: Rorden et al., NeuroImage 2012;61:957. Exact up to 100 HU; above, bone is only told
    from soft tissue.
    """
    soft = (cormack - 900) / 11 - 100
    return np.asarray(
        np.where(cormack <= 900, cormack - 1000, np.where(cormack <= 3100, soft, cormack - 3000)),
        np.float32,
    )


def signed_distance_mm(mask: Mask, voxel_mm: NDArray[np.float64]) -> Field:
    """Return the distance to the border of a mask, positive inside; -100 without any."""
    if not mask.any():
        return np.full(mask.shape, -100, np.float32)
    inside = distance_transform_edt(mask, sampling=voxel_mm)
    outside = distance_transform_edt(~mask, sampling=voxel_mm)
    return np.asarray(gaussian_filter(inside - outside, SMOOTHING), np.float32)


def _masks(
    images: TemplateImages, affine: NDArray[np.float64], voxel_mm: NDArray[np.float64]
) -> Mapping[Border, Mask]:
    hu = _pad(cormack_to_hu(images.head), -1000)
    head = _filled_slices(_largest(hu > HEAD_HU))
    bone = hu > BONE_HU
    stripped = _pad(images.stripped, 0)
    brain_value = float(np.median(stripped[stripped > stripped.max() / 2]))
    cavity = _largest(binary_opening((stripped > STRIPPED_SHARE * brain_value) & ~bone))
    outside_mm = distance_transform_edt(~cavity, sampling=voxel_mm)
    wall = (bone & (outside_mm < SKULL_REACH_MM)) | (outside_mm < THINNEST_WALL_MM)
    ball = generate_binary_structure(3, 1)
    skull = cavity | binary_closing(wall | cavity, ball, iterations=2)
    csf = _pad(images.csf, 0) > CSF_PROBABILITY
    depth_mm = distance_transform_edt(cavity, sampling=voxel_mm)
    ventricle = csf & (depth_mm > VENTRICLE_DEPTH_MM) & _in_box(hu.shape, affine)
    return {
        Border.SCALP: head,
        Border.SKULL: skull,
        Border.CAVITY: cavity,
        Border.FACE_BONE: (hu > FACE_BONE_HU) & ~skull & ~cavity,
        Border.AIR: head & (hu < AIR_HU) & (distance_transform_edt(head, sampling=voxel_mm) > 4),
        Border.VENTRICLE: ventricle,
        Border.CISTERN: csf & cavity & ~ventricle & (depth_mm > 3),
    }


def _pad(image: Field, value: float) -> Field:
    """Put air around a template, and below it more of its lowest slice, as the neck goes on."""
    longer = np.pad(image, ((PAD, 0), (0, 0), (0, 0)), mode="edge")
    return np.pad(longer, ((0, PAD), (PAD, PAD), (PAD, PAD)), constant_values=value)


def _largest(mask: Mask) -> Mask:
    parts, count = label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == int(np.argmax(sizes)))


def _filled_slices(mask: Mask) -> Mask:
    """Fill the air within a head, slice by slice, as throat and nose open downwards."""
    closed = binary_closing(mask, iterations=2)
    return np.asarray([binary_fill_holes(plane) for plane in closed])


def _in_box(shape: tuple[int, ...], affine: NDArray[np.float64]) -> Mask:
    """Mark the voxels that lie where ventricles are."""
    inside = np.ones(shape, np.bool_)
    for axis, (low, high) in enumerate(VENTRICLE_BOX_MM):
        along = 2 - axis  # x runs along columns, z along slices
        ticks = affine[axis, 3] + affine[axis, axis] * np.arange(shape[along])
        within = (ticks > low) & (ticks < high)
        inside &= within.reshape([-1 if n == along else 1 for n in range(3)])
    return inside
