# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
import torch

from aminet_train.fitting.augment import AugmentConfig, ImagePlanes, augment
from aminet_train.fitting.dataset import SliceBatch
from aminet_train.preprocessing import ATLAS_WINDOW, append_mirrored

MIRROR = (0, 2, 1, *range(3, 15))
STILL = AugmentConfig(rotation_deg=0, scale=0, shift=0, gain=0, noise=0)


def batch_with_clot_at(row: int, column: int, count: int = 64) -> SliceBatch:
    images = torch.zeros(count, 1, 112, 112)
    images[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1.0
    labels = torch.zeros(count, 15)
    labels[:, 1] = 1.0
    cells = torch.zeros(count, 15, 14, 14)
    cells[:, 1, row, column] = 1.0
    elsewhere = torch.zeros(count, 15)
    elsewhere[:, 2] = 1.0  # the other side of region 1
    return SliceBatch(images, labels, elsewhere, cells)


def test_nothing_changes_where_all_ranges_are_zero():
    batch = batch_with_clot_at(3, 4)
    changed = augment(batch, STILL, torch.Generator().manual_seed(0), mirror=None)
    # the sampling grid is computed in float32
    torch.testing.assert_close(changed.images, batch.images, atol=1e-4, rtol=0)
    torch.testing.assert_close(changed.cells, batch.cells)


def test_flip_swaps_sides_in_image_labels_and_cells_alike():
    batch = batch_with_clot_at(3, 4)
    changed = augment(batch, STILL, torch.Generator().manual_seed(0), mirror=MIRROR)
    flipped = changed.images[:, 0, 28, 8 * 4 + 4] < 0.5
    assert 0 < int(flipped.sum()) < 64
    assert torch.equal(changed.labels[:, 2] == 1, flipped)
    assert torch.equal(changed.labels[:, 1] == 0, flipped)
    assert torch.equal(changed.elsewhere[:, 1] == 1, flipped)
    assert torch.equal(changed.cells[:, 2, 3, 13 - 4] == 1, flipped)


def test_no_side_changes_where_the_share_is_zero():
    batch = batch_with_clot_at(3, 4)
    still = replace(STILL, flip_share=0.0)
    changed = augment(batch, still, torch.Generator().manual_seed(0), mirror=MIRROR)
    assert torch.equal(changed.labels, batch.labels)


@pytest.mark.parametrize("config", [AugmentConfig(), AugmentConfig(rotation_deg=20, shift=0.1)])
def test_cells_stay_on_the_clot_that_they_mark(config):
    changed = augment(
        batch_with_clot_at(6, 8), config, torch.Generator().manual_seed(1), mirror=MIRROR
    )
    cells = changed.cells.amax(dim=1)  # (N, 14, 14)
    bright = torch.nn.functional.avg_pool2d(changed.images[:, 0], 8)
    assert bool((cells.sum(dim=(1, 2)) >= 1).all())
    # the brightest cell of the image is always marked
    assert bool((cells.flatten(1).gather(1, bright.flatten(1).argmax(1, keepdim=True)) == 1).all())


def test_images_stay_in_range_and_vary():
    changed = augment(
        batch_with_clot_at(6, 8), AugmentConfig(noise=0.1), torch.Generator(), mirror=None
    )
    assert float(changed.images.min()) >= 0
    assert float(changed.images.max()) <= 1
    assert not torch.equal(changed.images[0], changed.images[1])


def test_same_generator_state_gives_the_same_batch():
    batch = batch_with_clot_at(2, 2)
    first, second = (
        augment(batch, AugmentConfig(), torch.Generator().manual_seed(5), mirror=MIRROR)
        for _ in range(2)
    )
    assert torch.equal(first.images, second.images)


def test_mirrored_channels_stay_mirrors_of_the_others():
    batch = batch_with_clot_at(3, 4)
    batch = batch._replace(images=append_mirrored(batch.images))
    planes = ImagePlanes(mirrored=True)
    changed = augment(
        batch, AugmentConfig(), torch.Generator().manual_seed(2), mirror=MIRROR, planes=planes
    )
    assert changed.images.shape == batch.images.shape
    torch.testing.assert_close(changed.images[:, 1], changed.images[:, 0].flip(-1))


def test_all_slices_of_a_window_move_alike():
    batch = batch_with_clot_at(3, 4)
    batch = batch._replace(images=batch.images.repeat(1, 3, 1, 1))
    config = AugmentConfig(noise=0)
    generator = torch.Generator().manual_seed(2)
    changed = augment(batch, config, generator, mirror=MIRROR)
    torch.testing.assert_close(changed.images[:, 0], changed.images[:, 2])


def batch_with_atlas() -> SliceBatch:
    """Region 1 on the left half of the slice and region 2 on the right, the clot in region 1."""
    batch = batch_with_clot_at(3, 4)
    atlas = torch.ones_like(batch.images)
    atlas[..., 56:] = 2.0
    return batch._replace(images=torch.cat([batch.images, atlas / ATLAS_WINDOW[1]], dim=1))


def test_flip_gives_atlas_voxels_the_other_sides_region():
    batch = batch_with_atlas()
    planes = ImagePlanes(has_atlas=True)
    changed = augment(batch, STILL, torch.Generator().manual_seed(0), mirror=MIRROR, planes=planes)
    # region 1 lies on the left of a slice and of its mirror image: the sides' names change too
    torch.testing.assert_close(changed.images[:, 1], batch.images[:, 1])
    assert bool((changed.labels[:, 2] == 1).any())


def test_a_moved_atlas_holds_whole_regions_and_neither_gain_nor_noise():
    planes = ImagePlanes(has_atlas=True)
    config = AugmentConfig(gain=0.5, noise=0.2)
    changed = augment(
        batch_with_atlas(), config, torch.Generator().manual_seed(3), mirror=MIRROR, planes=planes
    )
    regions = changed.images[:, 1] * ATLAS_WINDOW[1]
    torch.testing.assert_close(regions, regions.round(), atol=1e-5, rtol=0)
    assert set(regions.round().unique().tolist()) <= {0.0, 1.0, 2.0}
    assert changed.images.shape == (64, 2, 112, 112)
