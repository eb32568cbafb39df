# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from aminet_runtime.errors import UsageError
from aminet_train.fitting.resolve_config import resolve
from aminet_train.fitting.starting_network import random_network
from aminet_train.networks import build_network, learn_mirror
from aminet_train.networks.atlas_head import AtlasHead
from aminet_train.networks.efficientformerv2 import EfficientFormerV2Config
from aminet_train.networks.heads import Head
from aminet_train.networks.mobilenetv2 import MobileNetV2Config
from aminet_train.preprocessing import ATLAS_WINDOW, PreprocessingConfig

MIRROR = (0, 2, 1, *range(3, 15))
SIZE_PX = 64


def halves(left: int, right: int, count: int = 1) -> torch.Tensor:
    """Return an atlas [N, 1, h, w] of two regions."""
    atlas = torch.full((count, 1, SIZE_PX, SIZE_PX), float(left))
    atlas[..., SIZE_PX // 2 :] = float(right)
    return atlas / ATLAS_WINDOW[1]


@pytest.fixture
def head() -> AtlasHead:
    torch.manual_seed(0)
    return AtlasHead(3, 4, 6, width=8, dropout=0.0).eval().requires_grad_(False)


@pytest.fixture
def maps() -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    shapes = [(1, 3, 8, 8), (1, 4, 4, 4), (1, 6, 2, 2)]
    return tuple(torch.rand(shape) for shape in shapes)


@pytest.mark.parametrize("kind", [MobileNetV2Config, EfficientFormerV2Config])
def test_networks_see_images_and_map_at_stride_8(kind):
    config = kind(head=Head.ATLAS)
    network = build_network(config, in_channels=3, size_px=(SIZE_PX, SIZE_PX)).eval()
    images = torch.rand(2, 2, SIZE_PX, SIZE_PX)
    logits, evidence = network(torch.cat([images, halves(3, 4, 2)], dim=1))
    assert logits.shape == (2, 15)
    assert evidence.shape == (2, 15, SIZE_PX // 8, SIZE_PX // 8)


def test_a_region_that_the_slice_has_nothing_of_is_not_flagged(head, maps):
    logits, _evidence = head(*maps, halves(3, 4))
    there = [3, 4]
    absent = [region for region in range(15) if region not in there]
    assert float(logits[0, absent].max()) < float(logits[0, there].min()) - 5


def test_evidence_of_a_region_lies_where_the_atlas_has_it(head, maps):
    _logits, evidence = head(*maps, halves(3, 4))
    left, right = evidence[0, 3, :, :4], evidence[0, 3, :, 4:]
    assert float(right.max()) < float(left.min()) - 5
    assert float(evidence[0, 4, :, 4:].min()) > float(evidence[0, 4, :, :4].max()) + 5


def test_regions_share_one_answer_so_that_exchanging_them_exchanges_it(head, maps):
    logits, _ = head(*maps, halves(3, 4))
    exchanged, _ = head(*maps, halves(4, 3))
    torch.testing.assert_close(exchanged[0, [4, 3]], logits[0, [3, 4]])


def test_tissue_is_compared_with_that_of_the_other_side(head, maps):
    torch.nn.init.normal_(head.tissue.classifier.weight)
    atlas = halves(1, 2)
    before, _ = head(*maps, atlas)
    head.set_mirror(MIRROR)
    after, _ = head(*maps, atlas)
    assert not torch.allclose(after[0, 1], before[0, 1])
    assert head.tissue.mirror.tolist() == list(MIRROR)


def test_the_mirror_is_part_of_the_weights():
    config = MobileNetV2Config(head=Head.ATLAS)
    network, other = (build_network(config, in_channels=2, size_px=(64, 64)) for _ in range(2))
    learn_mirror(network, MIRROR)
    other.load_state_dict(network.state_dict())
    assert other.head.tissue.mirror.tolist() == list(MIRROR)


def test_8_bits_of_the_cache_tell_every_region(head, maps):
    exact = torch.randint(0, 15, (1, 1, SIZE_PX, SIZE_PX)).float()
    cached = (exact / ATLAS_WINDOW[1] * 255).round() / 255
    logits, _ = head(*maps, exact / ATLAS_WINDOW[1])
    torch.testing.assert_close(head(*maps, cached)[0], logits)


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


@pytest.mark.parametrize("window", [{"size": 3}, {"mirrored": True}])
def test_the_atlas_head_looks_at_single_slices(window):
    settings = {"model": "mobilenetv2", "data": ["x"], "network": {"head": "atlas"}}
    with pytest.raises(UsageError, match="single slices"):
        resolve({**settings, "window": window})
