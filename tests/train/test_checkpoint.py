# SPDX-License-Identifier: Apache-2.0
import json
import pickle  # noqa: TID251 - the attack
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from aminet_runtime.errors import ModelIncompatible, ModelInvalid
from aminet_train.checkpoint import CheckpointInfo, load_info, load_model, save_checkpoint
from aminet_train.networks import Approach, build_network
from aminet_train.networks.mobilenetv2 import MobileNetV2Config
from aminet_train.networks.simple_cnn import SimpleCnnConfig
from aminet_train.slice_window import SliceWindow
from aminet_train.thresholds import ChosenRule

SIZE_PX = (64, 64)


@pytest.fixture
def info(regions, preprocessing_config) -> CheckpointInfo:
    return CheckpointInfo(
        approach=Approach.SIMPLE_CNN,
        network=SimpleCnnConfig(features=16),
        preprocessing=preprocessing_config,
        regions=regions,
        rule=ChosenRule((0.4,) * 15, 0.6, 2),
        training={"note": "test"},
        leaking=True,
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


def truncate(path, _info):
    path.write_bytes(path.read_bytes()[:-10])


def empty(path, _info):
    path.write_bytes(b"")


def remove(path, _info):
    path.unlink()


def write_pickle(path, _info):
    path.write_bytes(pickle.dumps({"weight": [1.0]}))


def write_torch_file(path, _info):
    torch.save({"weight": torch.zeros(1)}, path)


def append_bytes(path, _info):
    path.write_bytes(path.read_bytes() + b"appended")


def claim_a_huge_header(path, _info):
    path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])


def write_other_names(path, _info):
    save_file({"other": torch.zeros(1)}, path)


def write_other_sizes(path, info):
    other = replace(info.network, features=8)
    save_file(build_network(other, in_channels=1, size_px=SIZE_PX).state_dict(), path)


def write_another_network(path, _info):
    mobile = build_network(MobileNetV2Config(), in_channels=1, size_px=SIZE_PX)
    save_file(mobile.state_dict(), path)


def write_value(value):
    def write(path, _info):
        state = load_file(path)
        state["classifier.bias"][3] = value
        save_file(state, path)

    return write


NOT_WHOLE = (ModelInvalid, "not a whole safetensors file")
OF_ANOTHER = (ModelIncompatible, "weights are of another network")
NOT_FINITE = (ModelInvalid, r"classifier\.bias holds values that are not finite")


@pytest.mark.parametrize(
    ("damage", "refusal"),
    [
        (truncate, NOT_WHOLE),
        (empty, NOT_WHOLE),
        (remove, NOT_WHOLE),
        (write_pickle, NOT_WHOLE),
        (write_torch_file, NOT_WHOLE),
        (append_bytes, NOT_WHOLE),
        (claim_a_huge_header, NOT_WHOLE),
        (write_other_names, OF_ANOTHER),
        (write_other_sizes, OF_ANOTHER),
        (write_another_network, OF_ANOTHER),
        (write_value(float("nan")), NOT_FINITE),
        (write_value(float("-inf")), NOT_FINITE),
    ],
)
def test_refuses_weights(checkpoint, info, damage, refusal):
    damage(checkpoint / "network.safetensors", info)
    kind, message = refusal
    with pytest.raises(kind, match=message) as caught:
        load_model(checkpoint)
    assert "network.safetensors" in str(caught.value)


def test_refuses_a_format_of_the_future(checkpoint):
    path = checkpoint / "checkpoint.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "schema": "aminet.checkpoint/9"}))
    with pytest.raises(ModelIncompatible, match=r"this version reads 'aminet\.checkpoint/2'"):
        load_info(checkpoint)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "aminet.checkpoint/2"}'])
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


def test_window_survives_and_shapes_the_model(tmp_path, info):
    window = SliceWindow(size=3, spacing_mm=2.5, mirrored=True)
    network = build_network(info.network, in_channels=6, size_px=SIZE_PX)
    save_checkpoint(tmp_path / "window", network, replace(info, window=window))
    loaded, model = load_model(tmp_path / "window")
    assert loaded.window == window
    assert model(torch.rand(2, 3, 80, 80))[0].shape == (2, 15)
