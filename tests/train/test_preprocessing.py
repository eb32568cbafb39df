# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
import torch

from aminet_runtime.errors import InputInconsistent
from aminet_runtime.patient import Channel
from aminet_train.preprocessing import (
    ATLAS_WINDOW,
    Preprocessing,
    PreprocessingConfig,
    in_channels,
    planes_of_views,
)
from aminet_train.slice_window import SliceWindow

TWO_WINDOWS = ((-100.0, 500.0), (0.0, 200.0))


@pytest.fixture
def preprocessing() -> Preprocessing:
    return Preprocessing(PreprocessingConfig.from_preset("cta"))


def test_window_maps_its_bounds_to_0_and_1_and_clamps_outside(preprocessing):
    hu = torch.tensor([-1000.0, -100.0, 200.0, 500.0, 3000.0]).view(5, 1, 1, 1).expand(5, 1, 8, 8)
    values = preprocessing(hu)[:, 0, 0, 0]
    assert values.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_resizes_any_slice_to_the_networks_size(preprocessing):
    assert preprocessing(torch.zeros(2, 1, 512, 390)).shape == (2, 1, 224, 224)


def test_is_the_identity_on_its_own_output_put_back_to_hu(preprocessing):
    generator = np.random.default_rng(0)
    hu = torch.from_numpy(generator.uniform(-1000, 2000, (1, 1, 512, 512)).astype(np.float32))
    network_input = preprocessing(hu)
    again = preprocessing(preprocessing.to_hu(network_input))
    # float32 rounding of a multiplication by 600 and a division by it
    torch.testing.assert_close(again, network_input, atol=1e-6, rtol=0)


def test_each_channel_has_its_own_window():
    config = PreprocessingConfig.from_preset("cta+spiral", size_px=(8, 8))
    slices = torch.stack([torch.full((8, 8), 200.0), torch.full((8, 8), 0.25)])[None]
    values = Preprocessing(config)(slices)
    assert values[0, :, 0, 0].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("size", "slab", "mirrored"), list(itertools.product((1, 3, 5), (False, True), (False, True)))
)
def test_has_as_many_channels_as_it_says(size, slab, mirrored):
    config = PreprocessingConfig.from_preset("cta+spiral", size_px=(8, 8), windows_hu=TWO_WINDOWS)
    window = SliceWindow(size, slab=slab, mirrored=mirrored)
    output = Preprocessing(config, window)(torch.zeros(2, 2 * size, 16, 16))
    assert output.shape == (2, in_channels(config, window), 8, 8)


@pytest.mark.parametrize("window", [SliceWindow(3), SliceWindow(5, slab=True, mirrored=True)])
def test_of_an_atlas_the_middle_slice_alone_is_shown(window):
    config = PreprocessingConfig.from_preset("arterial+atlas", size_px=(8, 8))
    images = torch.rand(1, window.size, 16, 16) * 500
    atlas = torch.arange(window.size).view(1, -1, 1, 1).expand_as(images).float()
    values = Preprocessing(config, window)(torch.cat([images, atlas], dim=1))
    assert values.shape[1] == in_channels(config, window)
    middle = torch.full((8, 8), float(window.size // 2))
    torch.testing.assert_close(values[0, -1] * ATLAS_WINDOW[1], middle)


def test_an_atlas_keeps_whole_regions_whatever_the_size():
    config = PreprocessingConfig.from_preset("arterial+atlas", size_px=(12, 12))
    assert config.has_atlas
    atlas = torch.randint(0, 15, (1, 1, 32, 30)).float()
    slices = torch.cat([torch.zeros_like(atlas), atlas], dim=1)
    preprocessing = Preprocessing(config)
    views = preprocessing(slices)
    regions = views[:, 1] * ATLAS_WINDOW[1]
    torch.testing.assert_close(regions, regions.round(), atol=1e-5, rtol=0)
    torch.testing.assert_close(preprocessing.to_hu(views)[:, 1], regions, atol=1e-5, rtol=0)


def test_an_atlas_is_the_last_channel():
    with pytest.raises(ValueError, match="not the last"):
        PreprocessingConfig((Channel.ATLAS, Channel.CTA1), ((ATLAS_WINDOW,), ((0.0, 1.0),)))


def test_views_of_a_channel_follow_each_other_each_low_to_high():
    config = PreprocessingConfig.from_preset("cta+spiral", size_px=(4, 4), windows_hu=TWO_WINDOWS)
    planes = torch.tensor([0.0, 100.0, 200.0, 0.1, 0.2, 0.3])[None, :, None, None]
    values = Preprocessing(config, SliceWindow(3))(planes.expand(1, 6, 4, 4))[0, :, 0, 0]
    # -100..500 of three slices, 0..200 of the same three, then SPIRAL's
    expected = torch.tensor([1 / 6, 2 / 6, 3 / 6, 0.0, 0.5, 1.0, 0.1, 0.2, 0.3])
    torch.testing.assert_close(values, expected)


def test_slab_shows_the_brightest_slice_of_each_view():
    config = PreprocessingConfig.from_preset("cta+spiral", size_px=(4, 4))
    planes = torch.tensor([200.0, 500.0, 100.0, 0.9, 0.2, 0.3])[None, :, None, None]
    values = Preprocessing(config, SliceWindow(3, slab=True))(planes.expand(1, 6, 4, 4))
    torch.testing.assert_close(values[0, :, 0, 0], torch.tensor([1.0, 0.9]))


def test_mirrored_channels_are_the_others_flipped():
    config = PreprocessingConfig.from_preset("mcta", size_px=(8, 8))
    slices = torch.rand(2, 3, 16, 16) * 500
    values = Preprocessing(config, SliceWindow(mirrored=True))(slices)
    torch.testing.assert_close(values[:, 3:], values[:, :3].flip(-1))


def test_neighbours_are_whole_slices_apart_and_repeat_at_the_ends():
    window = SliceWindow(5, spacing_mm=1.5)
    found = window.neighbours(
        np.array([0, 1, 9, 5], np.int32), slice_spacing_mm=0.8, slice_count=10
    )
    expected = [[0, 0, 0, 2, 4], [0, 0, 1, 3, 5], [5, 7, 9, 9, 9], [1, 3, 5, 7, 9]]
    assert found.tolist() == expected


def test_thick_slices_keep_their_neighbours_one_slice_apart():
    window = SliceWindow(3, spacing_mm=1.0)
    found = window.neighbours(np.array([4], np.int32), slice_spacing_mm=5.0, slice_count=10)
    assert found.tolist() == [[3, 4, 5]]


def test_refuses_a_window_of_an_even_number_of_slices():
    with pytest.raises(ValueError, match="a window of 2 slices"):
        SliceWindow(2)


def test_hu_cannot_be_told_from_several_windows():
    config = PreprocessingConfig.from_preset("cta", windows_hu=TWO_WINDOWS)
    assert config.window_hu == ((-100.0, 500.0),)
    with pytest.raises(ValueError, match="several windows"):
        Preprocessing(config).to_hu(torch.zeros(1, 2, 4, 4))


def test_views_with_a_plane_each_tell_their_hu_and_are_the_same_views():
    config = PreprocessingConfig.from_preset("mcta", windows_hu=TWO_WINDOWS)
    window = SliceWindow(3)
    hu = torch.rand(1, 9, 24, 24) * 600 - 100

    planes = hu[:, planes_of_views(config, window)]
    apart = Preprocessing(config.one_plane_a_view(), window)

    assert planes.shape[1] == 18
    torch.testing.assert_close(apart(planes), Preprocessing(config, window)(hu), rtol=0, atol=0)
    assert apart.to_hu(apart(planes)).shape[1] == 18


def test_window_survives_json():
    window = SliceWindow(3, 1.25, slab=True, mirrored=True)
    assert SliceWindow.from_json(window.to_json()) == window


def test_config_survives_json():
    config = PreprocessingConfig.from_preset("mcta", size_px=(96, 128), windows_hu=TWO_WINDOWS)
    assert PreprocessingConfig.from_json(config.to_json()) == config


def test_refuses_a_window_without_width():
    with pytest.raises(ValueError, match="lower bound is not below its upper"):
        PreprocessingConfig(channels=(Channel.CTA2,), views_hu=(((5.0, 5.0),),))


def test_refuses_channels_without_a_window_each():
    with pytest.raises(ValueError, match="2 channels but 1 windows"):
        PreprocessingConfig(channels=(Channel.CTA1, Channel.CTA2), views_hu=(((0.0, 1.0),),))


def with_margin(**changes) -> PreprocessingConfig:
    settings = {"size_px": (32, 24), "margin_px": (8, 12), "windows_hu": ((0.0, 200.0),)}
    return PreprocessingConfig.from_preset("mcta+atlas", **(settings | changes))


def test_with_a_margin_the_middle_of_the_resized_slice_is_seen():
    slices = torch.rand(2, 4, 100, 90, generator=torch.Generator().manual_seed(0)) * 300
    whole = Preprocessing(with_margin(size_px=(48, 48), margin_px=(0, 0)))(slices)
    seen = Preprocessing(with_margin())(slices)
    torch.testing.assert_close(seen, whole[:, :, 8:40, 12:36], atol=0, rtol=0)


def test_what_was_seen_can_be_shown_again_with_its_margin():
    preprocessing = Preprocessing(with_margin())
    slices = torch.rand(1, 4, 100, 90, generator=torch.Generator().manual_seed(0)) * 200
    seen = preprocessing.views(slices)
    frame = preprocessing.to_hu(seen)
    assert frame.shape == (1, 4, *preprocessing.config.frame_px)
    # float32 rounding of a multiplication and a division
    torch.testing.assert_close(preprocessing.views(frame), seen, atol=1e-6, rtol=0)


@pytest.mark.parametrize("margin_px", [(0, 0), (8, 12)])
def test_a_margin_is_written_and_read(margin_px):
    config = with_margin(margin_px=margin_px)
    assert PreprocessingConfig.from_json(config.to_json()) == config
    assert ("margin_px" in config.to_json()) == (margin_px != (0, 0))


@pytest.mark.parametrize("margin_px", [(-4, 0), (2, 4)])
def test_a_margin_of_parts_of_cells_is_refused(margin_px):
    with pytest.raises(ValueError, match="not in steps of 4"):
        with_margin(margin_px=margin_px)


@pytest.mark.parametrize(
    ("map_height", "parts"), [(8, 1), (4, 2), (2, 4), (1, 8)], ids=["4", "8", "16", "32 pixels"]
)
def test_cells_of_the_evidence_are_cut_until_they_fit_the_margin(map_height, parts):
    assert with_margin().cell_parts(map_height) == parts
    assert with_margin().margin_cells(map_height * parts) == (2, 3)


def test_without_a_margin_no_cell_is_cut():
    assert with_margin(margin_px=(0, 0)).cell_parts(map_height=5) == 1
    with pytest.raises(InputInconsistent, match="5 rows of cells for 32 of pixels"):
        with_margin().cell_parts(map_height=5)
