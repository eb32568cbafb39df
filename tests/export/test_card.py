# SPDX-License-Identifier: Apache-2.0
"""What the card of a bundle says that no figure of the export tells."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from aminet_export import card
from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.input_contract import NO_MARGIN_PX, InputContract


@pytest.fixture(scope="module")
def contract() -> InputContract:
    return Bundle.open(default_bundle_path()).metadata.input


def test_the_share_of_the_slice_that_is_seen_is_told(contract):
    middle = replace(contract, network_size_px=(224, 192), network_margin_px=(20, 36))
    (sentence,) = card._view(middle)
    assert "sees the middle of the slice, 85 % of its rows and 73 % of its columns" in sentence


def test_nothing_is_said_where_the_whole_slice_is_seen(contract):
    assert card._view(replace(contract, network_margin_px=NO_MARGIN_PX)) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"averaged": ["a", "b"]}, "the mean of those of the runs `a`, `b`"),
        ({"start_from": "a", "weights": "imagenet"}, "went on from the run `a`"),
        ({"weights": "imagenet"}, "ImageNet weights of timm's hub"),
        ({"weights": "mine.safetensors"}, "weights in `mine.safetensors`"),
        ({"weights": "none"}, "began with random weights"),
    ],
)
def test_says_with_which_weights_it_all_began(config, said):
    contents = SimpleNamespace(info=SimpleNamespace(training={"config": config}))
    assert said in card._start(contents)
