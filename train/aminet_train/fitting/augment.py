# SPDX-License-Identifier: Apache-2.0
"""Changes that are true to CT: pose, size and scanner vary, so does nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from aminet_train.fitting.dataset import SliceBatch
from aminet_train.preprocessing import ATLAS_WINDOW, append_mirrored

_KEPT_SHARE_OF_CELL = 0.2
"""A cell counts as clot where a fifth of a clot cell has moved onto it: at least one of the four
neighbours of any shift is over this."""


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Half-widths of the ranges, chosen inside of what positioning a patient can do.

    Attributes:
        rotation_deg: In-plane rotation.
        scale: Relative size.
        shift: Share of the field of view.
        gain: Relative contrast, as bolus and tube voltage vary.
        noise: Standard deviation, in units of the window.
        flip_share: Share of the slices that change left and right, where regions have mirrors.
    """

    rotation_deg: float = 8.0
    scale: float = 0.08
    shift: float = 0.04
    gain: float = 0.1
    noise: float = 0.01
    flip_share: float = 0.5


@dataclass(frozen=True, slots=True)
class ImagePlanes:
    """What the channels of a network's input are.

    Attributes:
        mirrored: The second half of the images are the first, flipped.
        has_atlas: The last channel is no image, but the region of each voxel.
    """

    mirrored: bool = False
    has_atlas: bool = False


IMAGES_ALONE = ImagePlanes()


def augment(
    batch: SliceBatch,
    config: AugmentConfig,
    generator: torch.Generator,
    *,
    mirror: Sequence[int] | None,
    planes: ImagePlanes = IMAGES_ALONE,
) -> SliceBatch:
    """Change a batch at random; labels, cells, mirrored channels and the atlas follow.

    Args:
        batch: As from the dataset.
        config: How much.
        generator: Of the random numbers.
        mirror: Index of the other side's region, for the left-right flip; None: no flip.
        planes: What the channels are; those that mirror others are made anew at the end.
    """
    changed = _Planes.of(batch, planes)
    if mirror is not None:
        changed = _flip_some(changed, config.flip_share, generator, mirror)
    changed = _move(changed, config, generator)
    images = _rescan(changed.batch.images, config, generator)
    if planes.mirrored:
        images = append_mirrored(images)
    if changed.atlas is not None:
        images = torch.cat([images, changed.atlas], dim=1)
    return changed.batch._replace(images=images)


class _Planes(NamedTuple):
    """A batch whose images are images, and the atlas [N, 1, h, w] beside it, if there is one."""

    batch: SliceBatch
    atlas: Tensor | None

    @classmethod
    def of(cls, batch: SliceBatch, planes: ImagePlanes) -> "_Planes":
        images, atlas = batch.images, None
        if planes.has_atlas:
            images, atlas = images[:, :-1], images[:, -1:]
        if planes.mirrored:
            images = images[:, : images.shape[1] // 2]
        return cls(batch._replace(images=images), atlas)


def _flip_some(
    planes: _Planes, share: float, generator: torch.Generator, mirror: Sequence[int]
) -> _Planes:
    batch, atlas = planes
    flipped = torch.rand(len(batch.images), generator=generator) < share
    swap = torch.tensor(mirror)
    if atlas is not None:
        other_side = swap[_regions(atlas)] / ATLAS_WINDOW[1]
        atlas = torch.where(_per_item(flipped, 4), other_side.flip(-1), atlas)
    batch = SliceBatch(
        images=torch.where(_per_item(flipped, 4), batch.images.flip(-1), batch.images),
        labels=torch.where(_per_item(flipped, 2), batch.labels[:, swap], batch.labels),
        elsewhere=torch.where(_per_item(flipped, 2), batch.elsewhere[:, swap], batch.elsewhere),
        cells=torch.where(_per_item(flipped, 4), batch.cells[:, swap].flip(-1), batch.cells),
    )
    return _Planes(batch, atlas)


def _regions(atlas: Tensor) -> Tensor:
    return (atlas * ATLAS_WINDOW[1]).round().long()


def _move(planes: _Planes, config: AugmentConfig, generator: torch.Generator) -> _Planes:
    batch, atlas = planes
    theta = _poses(len(batch.images), config, generator)
    images = _warp(batch.images, theta)
    cells = (_warp(batch.cells, theta) > _KEPT_SHARE_OF_CELL).float()
    if atlas is not None:
        atlas = _warp(atlas, theta, mode="nearest")  # a mean of two regions is a third one
    return _Planes(batch._replace(images=images, cells=cells), atlas)


def _poses(count: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Draw affine matrices [N, 2, 3] in the normalised coordinates of affine_grid."""

    def uniform(half_width: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * half_width

    angle = uniform(math.radians(config.rotation_deg))
    scale = 1 + uniform(config.scale)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    # an offset in normalised coordinates -1..1 is twice the share of the field of view
    rows = [cosine, -sine, uniform(2 * config.shift), sine, cosine, uniform(2 * config.shift)]
    return torch.stack(rows, dim=1).view(count, 2, 3)


def _warp(maps: Tensor, theta: Tensor, *, mode: str = "bilinear") -> Tensor:
    grid = F.affine_grid(theta, list(maps.shape), align_corners=False)
    return F.grid_sample(maps, grid, mode=mode, padding_mode="zeros", align_corners=False)


def _rescan(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    gain = 1 + (torch.rand(len(images), generator=generator) * 2 - 1) * config.gain
    noise = torch.randn(images.shape, generator=generator) * config.noise
    return (images * _per_item(gain, 4) + noise).clamp(0.0, 1.0)


def _per_item(values: Tensor, dims: int) -> Tensor:
    return values.view(-1, *[1] * (dims - 1))
