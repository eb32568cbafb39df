# SPDX-License-Identifier: Apache-2.0
"""Changes that are true to CT: pose, size and scanner vary, so does nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aminet_train.fitting.dataset import SliceBatch
from aminet_train.preprocessing import SINGLE_SLICE, SliceWindow, append_mirrored

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
    """

    rotation_deg: float = 8.0
    scale: float = 0.08
    shift: float = 0.04
    gain: float = 0.1
    noise: float = 0.01


def augment(
    batch: SliceBatch,
    config: AugmentConfig,
    generator: torch.Generator,
    *,
    mirror: Sequence[int] | None,
    window: SliceWindow = SINGLE_SLICE,
) -> SliceBatch:
    """Change a batch at random; labels, cells and mirrored channels follow.

    Args:
        batch: As from the dataset.
        config: How much.
        generator: Of the random numbers.
        mirror: Index of the other side's region, for the left-right flip; None: no flip.
        window: What the channels are; those that mirror others are made anew at the end.
    """
    if window.mirrored:
        batch = batch._replace(images=batch.images[:, : batch.images.shape[1] // 2])
    if mirror is not None:
        batch = _flip_some(batch, generator, mirror)
    batch = _move(batch, config, generator)
    images = _rescan(batch.images, config, generator)
    return batch._replace(images=append_mirrored(images) if window.mirrored else images)


def _flip_some(batch: SliceBatch, generator: torch.Generator, mirror: Sequence[int]) -> SliceBatch:
    flipped = torch.rand(len(batch.images), generator=generator) < 0.5
    swap = torch.tensor(mirror)
    return SliceBatch(
        images=torch.where(_per_item(flipped, 4), batch.images.flip(-1), batch.images),
        labels=torch.where(_per_item(flipped, 2), batch.labels[:, swap], batch.labels),
        elsewhere=torch.where(_per_item(flipped, 2), batch.elsewhere[:, swap], batch.elsewhere),
        cells=torch.where(_per_item(flipped, 4), batch.cells[:, swap].flip(-1), batch.cells),
    )


def _move(batch: SliceBatch, config: AugmentConfig, generator: torch.Generator) -> SliceBatch:
    theta = _poses(len(batch.images), config, generator)
    images = _warp(batch.images, theta)
    cells = (_warp(batch.cells, theta) > _KEPT_SHARE_OF_CELL).float()
    return batch._replace(images=images, cells=cells)


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


def _warp(maps: Tensor, theta: Tensor) -> Tensor:
    grid = F.affine_grid(theta, list(maps.shape), align_corners=False)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _rescan(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    gain = 1 + (torch.rand(len(images), generator=generator) * 2 - 1) * config.gain
    noise = torch.randn(images.shape, generator=generator) * config.noise
    return (images * _per_item(gain, 4) + noise).clamp(0.0, 1.0)


def _per_item(values: Tensor, dims: int) -> Tensor:
    return values.view(-1, *[1] * (dims - 1))
