# SPDX-License-Identifier: Apache-2.0
import json
import pickle  # noqa: TID251 - the attack

import pytest
import torch
from safetensors.torch import save_file

from aminet_runtime.errors import ModelIncompatible, ModelInvalid
from aminet_train.checkpoint import CheckpointInfo, load_info, load_model, save_checkpoint
from aminet_train.networks import Approach, build_network
from aminet_train.networks.mobilenetv2 import MobileNetV2Config
from aminet_train.networks.simple_cnn import SimpleCnnConfig
from aminet_train.thresholds import ChosenRule


@pytest.fixture
def info(regions, preprocessing_config) -> CheckpointInfo:
    return CheckpointInfo(
        approach=Approach.SIMPLE_CNN,
        network=SimpleCnnConfig(features=16),
        preprocessing=preprocessing_config,
        regions=regions,
        rule=ChosenRule((0.4,) * 15, 0.6, 2),
        training={"note": "test"},
    )


@pytest.fixture
def checkpoint(tmp_path, info):
    network = build_network(info.network, in_channels=1, size_px=info.preprocessing.size_px)
    save_checkpoint(tmp_path / "checkpoint", network, info)
    return tmp_path / "checkpoint"


def test_comes_back_with_the_same_answers(checkpoint, info):
    loaded, model = load_model(checkpoint)
    assert loaded == info
    _same, again = load_model(checkpoint)
    slices = torch.rand(2, 1, 128, 128) * 600 - 100
    assert torch.equal(model(slices)[0], again(slices)[0])
    assert bool(((model(slices)[0] >= 0) & (model(slices)[0] <= 1)).all())


def test_refuses_truncated_weights(checkpoint):
    path = checkpoint / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelInvalid, match="not a whole safetensors file"):
        load_model(checkpoint)


def test_refuses_pickled_weights(checkpoint):
    (checkpoint / "network.safetensors").write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(ModelInvalid, match="not a whole safetensors file"):
        load_model(checkpoint)


def test_refuses_weights_with_nan(checkpoint, info):
    network = build_network(info.network, in_channels=1, size_px=info.preprocessing.size_px)
    network.classifier.bias.data[3] = float("nan")
    save_checkpoint(checkpoint, network, info)
    with pytest.raises(ModelInvalid, match=r"classifier\.bias holds values that are not finite"):
        load_model(checkpoint)


def test_refuses_weights_of_another_architecture(checkpoint):
    save_file({"other": torch.zeros(1)}, checkpoint / "network.safetensors")
    with pytest.raises(ModelIncompatible, match="weights are of another network"):
        load_model(checkpoint)


def test_refuses_a_format_of_the_future(checkpoint):
    path = checkpoint / "checkpoint.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "schema": "aminet.checkpoint/9"}))
    with pytest.raises(ModelIncompatible, match=r"this version reads 'aminet\.checkpoint/1'"):
        load_info(checkpoint)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "aminet.checkpoint/1"}'])
def test_refuses_json_that_is_no_checkpoint(checkpoint, text):
    (checkpoint / "checkpoint.json").write_text(text)
    with pytest.raises(ModelInvalid, match="not a checkpoint"):
        load_info(checkpoint)


def test_network_config_survives_with_its_types(tmp_path, info):
    config = MobileNetV2Config(dropout=0.1)
    network = build_network(config, in_channels=1, size_px=(64, 64))
    mobile = CheckpointInfo(
        Approach.MOBILENETV2, config, info.preprocessing, info.regions, info.rule, {}
    )
    save_checkpoint(tmp_path / "mobile", network, mobile)
    assert load_info(tmp_path / "mobile").network == config
