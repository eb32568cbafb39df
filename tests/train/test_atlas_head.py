# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aminet_runtime.errors import ModelIncompatible, UsageError
from aminet_train.checkpoint import CheckpointInfo, save_checkpoint
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.dataset import SliceDataset
from aminet_train.fitting.resolve_config import resolve
from aminet_train.fitting.starting_network import random_network, starting_network
from aminet_train.networks import build_network, learn_mirror
from aminet_train.networks.atlas_head import AtlasHead, AtlasHeadConfig
from aminet_train.networks.efficientformerv2 import EfficientFormerV2Config
from aminet_train.networks.heads import Head
from aminet_train.networks.mobilenetv2 import MobileNetV2Config
from aminet_train.networks.pyramid import Maps, Widths
from aminet_train.preprocessing import ATLAS_WINDOW, PreprocessingConfig
from aminet_train.slice_window import SliceWindow
from aminet_train.thresholds import ChosenRule

MIRROR = (0, 2, 1, *range(3, 15))
SIZE_PX = 64
PREPROCESSING = PreprocessingConfig.from_preset("arterial+atlas", size_px=(SIZE_PX, SIZE_PX))


def halves(left: int, right: int, count: int = 1) -> torch.Tensor:
    """Return an atlas [N, 1, h, w] of two regions."""
    atlas = torch.full((count, 1, SIZE_PX, SIZE_PX), float(left))
    atlas[..., SIZE_PX // 2 :] = float(right)
    return atlas / ATLAS_WINDOW[1]


def make_head(map_stride: int, tissue_dropout: float = 0.0) -> AtlasHead:
    torch.manual_seed(0)
    config = AtlasHeadConfig(
        width=8, map_stride=map_stride, dropout=0.0, tissue_dropout=tissue_dropout
    )
    head = AtlasHead(Widths(2, 3, 4, 6), config)
    return head.eval().requires_grad_(False)


@pytest.fixture(params=[8, 4], ids="stride {}".format)
def head(request) -> AtlasHead:
    return make_head(request.param)


@pytest.fixture
def maps() -> Maps:
    torch.manual_seed(1)
    shapes = [(1, 2, 16, 16), (1, 3, 8, 8), (1, 4, 4, 4), (1, 6, 2, 2)]
    return Maps(*(torch.rand(shape) for shape in shapes))


@pytest.mark.parametrize("map_stride", [8, 4])
@pytest.mark.parametrize("kind", [MobileNetV2Config, EfficientFormerV2Config])
def test_networks_see_images_and_map_at_their_stride(kind, map_stride):
    config = kind(head=Head.ATLAS, map_stride=map_stride)
    network = build_network(config, in_channels=3, size_px=(SIZE_PX, SIZE_PX)).eval()
    images = torch.rand(2, 2, SIZE_PX, SIZE_PX)
    logits, evidence = network(torch.cat([images, halves(3, 4, 2)], dim=1))
    assert logits.shape == (2, 15)
    assert evidence.shape == (2, 15, SIZE_PX // map_stride, SIZE_PX // map_stride)


def test_a_region_that_the_slice_has_nothing_of_is_not_flagged(head, maps):
    logits, _evidence = head(maps, halves(3, 4))
    there = [3, 4]
    absent = [region for region in range(15) if region not in there]
    assert float(logits[0, absent].max()) < float(logits[0, there].min()) - 5


def test_evidence_of_a_region_lies_where_the_atlas_has_it(head, maps):
    _logits, evidence = head(maps, halves(3, 4))
    left, right = evidence[0, 3].chunk(2, dim=1)
    assert float(right.max()) < float(left.min()) - 5
    left, right = evidence[0, 4].chunk(2, dim=1)
    assert float(right.min()) > float(left.max()) + 5


def test_regions_share_one_answer_so_that_exchanging_them_exchanges_it(head, maps):
    logits, _ = head(maps, halves(3, 4))
    exchanged, _ = head(maps, halves(4, 3))
    torch.testing.assert_close(exchanged[0, [4, 3]], logits[0, [3, 4]])


def test_a_finer_map_begins_with_the_answer_of_the_coarse_one(maps):
    coarse, fine = make_head(8), make_head(4)
    fine.load_state_dict(coarse.state_dict(), strict=False)
    answers = [head(maps, halves(3, 4))[0] for head in (coarse, fine)]
    torch.testing.assert_close(*answers)


def test_a_finer_map_tells_the_regions_within_a_coarse_cell(maps):
    atlas = halves(3, 4).roll(4, dims=3)  # the border runs through the middle of coarse cells
    coarse, fine = (make_head(stride)(maps, atlas)[1][0] for stride in (8, 4))
    torch.testing.assert_close(coarse[3, :, 4], coarse[4, :, 4])
    assert float((fine[3, :, 8] - fine[4, :, 8]).min()) > 5
    assert float((fine[4, :, 9] - fine[3, :, 9]).min()) > 5


def run_config(map_stride: int, start_from: Path | None = None) -> TrainConfig:
    network = {"head": "atlas", "map_stride": map_stride}
    tables = {"model": "mobilenetv2", "data": ["x"], "weights": "none", "network": network}
    return replace(resolve(tables), start_from=start_from)


@pytest.fixture
def save_run(tmp_path, regions) -> Callable[[int], Path]:
    """Return a function that saves a network that has not learned anything."""

    def save(map_stride: int) -> Path:
        config, folder = run_config(map_stride), tmp_path / str(map_stride)
        rule = ChosenRule((0.5,) * 15, 0.5, 1)
        info = CheckpointInfo(config.approach, config.network, PREPROCESSING, regions, rule, {})
        save_checkpoint(folder, random_network(config, PREPROCESSING), info)
        return folder

    return save


def test_a_run_goes_on_from_a_coarser_map_and_not_from_a_finer_one(save_run):
    coarse, fine = save_run(8), save_run(4)
    networks = [
        starting_network(run_config(stride, coarse), PREPROCESSING, SliceDataset([])).eval()
        for stride in (8, 4)
    ]
    other_dropout = run_config(8, coarse)
    dropping = replace(other_dropout.network, dropout=0.1, tissue_dropout=0.5)
    starting_network(replace(other_dropout, network=dropping), PREPROCESSING, SliceDataset([]))
    images = torch.cat([torch.rand(1, 1, SIZE_PX, SIZE_PX), halves(3, 4)], dim=1)
    torch.testing.assert_close(*(network(images)[0] for network in networks))
    with pytest.raises(ModelIncompatible, match="of another network"):
        starting_network(run_config(8, fine), PREPROCESSING, SliceDataset([]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": Head.ATLAS, "map_stride": 16}, "8 or 4, not 16"),
        ({"head": Head.GAP, "map_stride": 4}, "of the atlas head"),
        ({"head": Head.GAP, "tissue_dropout": 0.5}, "of the atlas head"),
        ({"head": Head.ATLAS, "tissue_dropout": 1.0}, "tissue_dropout is 0 to 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MobileNetV2Config(**settings)


def test_tissue_is_compared_with_that_of_the_other_side(head, maps):
    torch.nn.init.normal_(head.tissue.classifier.weight)
    atlas = halves(1, 2)
    before, _ = head(maps, atlas)
    head.set_mirror(MIRROR)
    after, _ = head(maps, atlas)
    assert not torch.allclose(after[0, 1], before[0, 1])
    assert head.tissue.mirror.tolist() == list(MIRROR)


def test_tissue_is_left_out_for_some_slices_and_weighs_less_in_the_answer(maps):
    several, atlas = Maps(*(one.expand(64, -1, -1, -1) for one in maps)), halves(1, 2, 64)
    head = make_head(8, tissue_dropout=0.25)
    without = head(several, atlas)[0][0, 1].item()
    torch.nn.init.constant_(head.tissue.region_bias, 2.0)
    assert head(several, atlas)[0][0, 1].item() == pytest.approx(without + 1.5)

    learning = head.train()(several, atlas)[0][:, 1] - without
    is_kept = learning > 1
    torch.testing.assert_close(learning, 2.0 * is_kept)
    assert 0.5 < float(is_kept.float().mean()) < 0.95


def test_the_mirror_is_part_of_the_weights():
    config = MobileNetV2Config(head=Head.ATLAS)
    network, other = (build_network(config, in_channels=2, size_px=(64, 64)) for _ in range(2))
    learn_mirror(network, MIRROR)
    other.load_state_dict(network.state_dict())
    assert other.head.tissue.mirror.tolist() == list(MIRROR)


def test_8_bits_of_the_cache_tell_every_region(head, maps):
    exact = torch.randint(0, 15, (1, 1, SIZE_PX, SIZE_PX)).float()
    cached = (exact / ATLAS_WINDOW[1] * 255).round() / 255
    logits, _ = head(maps, exact / ATLAS_WINDOW[1])
    torch.testing.assert_close(head(maps, cached)[0], logits)


@pytest.mark.parametrize(
    ("channels", "head_name", "message"),
    [
        ("arterial", "atlas", "needs the patient's atlas"),
        ("arterial+atlas", "gap", "only --head atlas looks at"),
    ],
)
def test_head_and_data_must_both_know_of_the_atlas(channels, head_name, message):
    config = resolve({"model": "mobilenetv2", "data": ["x"], "network": {"head": head_name}})
    with pytest.raises(UsageError, match=message):
        random_network(config, PreprocessingConfig.from_preset(channels))


def test_a_window_of_images_has_one_atlas():
    settings = {"model": "mobilenetv2", "data": ["x"], "weights": "none"}
    config = resolve({**settings, "network": {"head": "atlas"}, "window": {"size": 3}})
    network = random_network(config, PREPROCESSING).eval()
    logits, _evidence = network(torch.cat([torch.rand(1, 3, SIZE_PX, SIZE_PX), halves(3, 4)], 1))
    assert logits.shape == (1, 15)


def test_a_run_with_neighbours_goes_on_from_one_that_saw_single_slices(save_run):
    single, windowed = run_config(8, save_run(8)), SliceWindow(3)
    among = replace(single, window=windowed)
    networks = [
        starting_network(config, PREPROCESSING, SliceDataset([])).eval()
        for config in (single, among)
    ]
    planes = torch.rand(1, 3, SIZE_PX, SIZE_PX)
    inputs = [torch.cat([images, halves(3, 4)], dim=1) for images in (planes[:, 1:2], planes)]
    answers = [network(seen)[0] for network, seen in zip(networks, inputs, strict=True)]
    torch.testing.assert_close(*answers)
    slab = replace(single, window=SliceWindow(3, slab=True))
    with pytest.raises(ModelIncompatible, match="the checkpoint is of SliceWindow"):
        starting_network(slab, PREPROCESSING, SliceDataset([]))
