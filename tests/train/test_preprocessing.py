# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from aminet_runtime.patient import Channel
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig


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


def test_config_survives_json():
    config = PreprocessingConfig.from_preset("mcta", size_px=(96, 128))
    assert PreprocessingConfig.from_json(config.to_json()) == config


def test_refuses_a_window_without_width():
    with pytest.raises(ValueError, match="lower bound is not below"):
        PreprocessingConfig(channels=(Channel.CTA2,), window_hu=((5.0, 5.0),))


def test_refuses_channels_without_a_window_each():
    with pytest.raises(ValueError, match="2 channels but 1 windows"):
        PreprocessingConfig(channels=(Channel.CTA1, Channel.CTA2), window_hu=((0.0, 1.0),))
