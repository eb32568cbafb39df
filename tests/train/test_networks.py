# SPDX-License-Identifier: Apache-2.0
from dataclasses import asdict

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import nn

from aminet_runtime.errors import InputDamaged, InputMissing, ModelIncompatible, UsageError
from aminet_train.fitting.dataset import SliceDataset
from aminet_train.fitting.resolve_config import resolve
from aminet_train.fitting.starting_network import starting_network
from aminet_train.networks import CONFIG_TYPES, build_network, config_from_json
from aminet_train.networks import weights as weights_module
from aminet_train.networks.efficientformerv2 import EfficientFormerV2Config
from aminet_train.networks.heads import DenseHead, GapHead, Head, TerritoryHead
from aminet_train.networks.mobilenetv2 import MobileNetV2, MobileNetV2Config, Padding
from aminet_train.networks.simple_cnn import Activation, SimpleCnnConfig
from aminet_train.networks.weights import (
    has_folded_batch_norm,
    load_backbone,
    load_from_hub,
    unfold_batch_norm,
)
from aminet_train.preprocessing import PreprocessingConfig

CONFIGS = [
    SimpleCnnConfig(),
    MobileNetV2Config(),
    MobileNetV2Config(head=Head.DENSE),
    MobileNetV2Config(head=Head.TERRITORY),
    MobileNetV2Config(padding=Padding.SAME),
    EfficientFormerV2Config(),
    EfficientFormerV2Config(head=Head.DENSE),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_gives_15_logits_and_15_evidence_maps(config, channels):
    network = build_network(config, in_channels=channels, size_px=(96, 96)).eval()
    logits, evidence = network(torch.rand(2, channels, 96, 96))
    assert logits.shape == (2, 15)
    assert evidence.shape[:2] == (2, 15)
    assert evidence.shape[2] == evidence.shape[3] > 1


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_configs_come_back_from_a_checkpoint(config):
    approach = next(name for name, kind in CONFIG_TYPES.items() if isinstance(config, kind))
    assert config_from_json(approach, asdict(config)) == config


def start(head: Head, size_px: tuple[int, int], model: str = "mobilenetv2") -> nn.Module:
    tables = {"model": model, "data": ["x"], "weights": "none", "network": {"head": head}}
    channels = "arterial+atlas" if head is Head.ATLAS else "arterial"
    preprocessing = PreprocessingConfig.from_preset(channels, size_px=size_px)
    return starting_network(resolve(tables), preprocessing, SliceDataset([])).eval()


@pytest.mark.parametrize("head", [Head.DENSE, Head.TERRITORY, Head.ATLAS])
@pytest.mark.parametrize("size_px", [(100, 100), (96, 100), (100, 96)])
def test_a_run_with_a_map_refuses_edges_that_strides_do_not_divide(head, size_px):
    message = f"--head {head} wants .* multiples of 32, not {size_px[0]} x {size_px[1]}; prepare"
    with pytest.raises(UsageError, match=message):
        start(head, size_px)


def test_efficientformerv2_refuses_edges_that_its_attention_does_not_divide():
    with pytest.raises(UsageError, match=r"efficientformerv2 wants .* multiples of 32"):
        start(Head.GAP, (100, 100), "efficientformerv2")


@pytest.mark.parametrize(
    ("head", "size_px"),
    [
        *((head, size_px) for head in Head for size_px in [(160, 160), (192, 96)]),
        (Head.GAP, (100, 100)),
    ],
)
def test_a_run_starts_with_images_that_the_head_fits(head, size_px):
    logits, _evidence = start(head, size_px)(torch.rand(1, 1 + (head is Head.ATLAS), *size_px))
    assert logits.shape == (1, 15)


@pytest.mark.parametrize("pool", [2, 4])
@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("extra_layers", [0, 2])
@pytest.mark.parametrize("activation", list(Activation))
def test_simple_cnn_spans_the_space_of_the_report(pool, size, extra_layers, activation):
    config = SimpleCnnConfig(
        pool=pool, features=128, extra_layers=extra_layers, activation=activation
    )
    network = build_network(config, in_channels=2, size_px=(size, size)).eval()
    logits, evidence = network(torch.rand(1, 2, size, size))
    assert logits.shape == (1, 15)
    assert evidence.shape == (1, 15, size // pool // pool, size // pool // pool)


@pytest.mark.parametrize("kind", [MobileNetV2Config, EfficientFormerV2Config])
def test_dense_evidence_has_stride_16(kind):
    network = build_network(kind(head=Head.DENSE), in_channels=1, size_px=(96, 64)).eval()
    assert network(torch.rand(1, 1, 96, 64))[1].shape == (1, 15, 6, 4)


def test_attention_cache_leaves_no_trace():
    network = build_network(EfficientFormerV2Config(), in_channels=1, size_px=(64, 64)).eval()
    images = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        network(images)
    state = network.state_dict()
    assert not any("cache" in name for name in state)
    other = build_network(EfficientFormerV2Config(), in_channels=1, size_px=(64, 64)).eval()
    other(images)  # fills its cache with biases that are to be replaced
    other.load_state_dict(state)
    torch.testing.assert_close(other.eval()(images)[0], network(images)[0], atol=0, rtol=0)


def test_gap_head_is_global_average_pooling_and_a_dense_layer():
    head = GapHead(8, dropout=0.0).eval()
    features = torch.rand(3, 8, 5, 4)
    classifier = nn.Linear(8, 15)
    classifier.weight.data = head.classifier.weight.data[:, :, 0, 0]
    classifier.bias.data = head.classifier.bias.data
    expected = classifier(features.mean(dim=(2, 3)))
    torch.testing.assert_close(head(features)[0], expected, atol=1e-6, rtol=1e-5)


def test_dense_head_answers_with_its_strongest_cell():
    head = DenseHead(4, 4, width=8, dropout=0.0).eval()
    logits, evidence = head(torch.rand(1, 4, 6, 6), torch.rand(1, 4, 3, 3))
    assert evidence.shape == (1, 15, 6, 6)
    strongest = evidence.amax(dim=(2, 3))
    # logsumexp lies between the maximum and the maximum + log(cells)
    assert bool((logits >= strongest).all())
    assert bool((logits <= strongest + torch.tensor(36.0).log() + 1e-5).all())


def test_territory_head_adds_what_the_tissue_tells_to_the_dense_answer():
    head = TerritoryHead(4, 6, width=8, dropout=0.0).eval()
    fine, coarse = torch.rand(2, 4, 8, 8), torch.rand(2, 6, 4, 4)
    dense, evidence = head.dense(fine, coarse)

    logits, shown = head(fine, coarse)
    torch.testing.assert_close(shown, evidence, atol=0, rtol=0)
    assert not torch.allclose(logits, dense)

    head.tissue.weight.data.zero_()
    head.tissue.bias.data.fill_(0.5)
    torch.testing.assert_close(head(fine, coarse)[0], dense + 0.5)


def test_evidence_of_the_simple_cnn_adds_up_to_the_linear_part_of_the_logit():
    network = build_network(SimpleCnnConfig(extra_layers=0), in_channels=1, size_px=(64, 64)).eval()
    network.tail = nn.Identity()
    network.classifier.bias.data.zero_()
    network.feature_layer.bias.data.zero_()
    logits, evidence = network(torch.rand(2, 1, 64, 64))
    torch.testing.assert_close(evidence.sum(dim=(2, 3)), logits, atol=1e-4, rtol=1e-4)


def folded(network: MobileNetV2) -> MobileNetV2:
    for norm in network.backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            norm.weight.data.fill_(1)
            norm.bias.data.uniform_(-0.5, 0.5)
    return network.eval()


def test_unfolding_batch_norm_changes_statistics_but_not_the_function():
    torch.manual_seed(0)
    network = folded(MobileNetV2(1, MobileNetV2Config()))
    images = torch.rand(8, 1, 96, 96)
    before = network(images)[0]
    assert has_folded_batch_norm(network.backbone)
    unfold_batch_norm(network, [images])
    assert not has_folded_batch_norm(network.backbone)
    # 52 norms, each with float32 rounding
    torch.testing.assert_close(network(images)[0], before, atol=1e-4, rtol=1e-3)


def test_unfolded_statistics_are_those_of_the_data():
    network = folded(MobileNetV2(1, MobileNetV2Config()))
    images = torch.rand(16, 1, 96, 96)
    unfold_batch_norm(network, list(images.split(4)))
    stem = network.backbone.conv_stem(images * 2 - 1)
    torch.testing.assert_close(
        network.backbone.bn1.running_mean, stem.mean(dim=(0, 2, 3)), atol=1e-5, rtol=1e-4
    )


def test_random_weights_are_not_taken_for_folded():
    assert has_folded_batch_norm(nn.Conv2d(1, 1, 1)) is False


def test_colour_weights_are_summed_for_one_grey_channel(tmp_path):
    colour = MobileNetV2(3, MobileNetV2Config())
    save_file(colour.backbone.state_dict(), tmp_path / "weights.safetensors")
    grey = MobileNetV2(1, MobileNetV2Config())
    load_backbone(grey.backbone, tmp_path / "weights.safetensors", in_channels=1)
    expected = colour.backbone.conv_stem.weight.sum(dim=1, keepdim=True)
    torch.testing.assert_close(grey.backbone.conv_stem.weight, expected)


def test_weights_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputMissing, match=r"absent\.safetensors: there is no weights file"):
        load_backbone(nn.Identity(), tmp_path / "absent.safetensors", in_channels=1)


def test_refuses_weights_that_are_no_safetensors(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputDamaged, match="pickles are refused"):
        load_backbone(nn.Identity(), path, in_channels=1)


def test_refuses_weights_of_another_network(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"layer.weight": torch.zeros(1)}, path)
    network = MobileNetV2(1, MobileNetV2Config())
    with pytest.raises(ModelIncompatible, match="weights are of another network"):
        load_backbone(network.backbone, path, in_channels=1)


def test_refuses_weights_that_are_not_finite(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"layer.weight": torch.tensor([float("nan")])}, path)
    with pytest.raises(InputDamaged, match="not finite"):
        load_backbone(nn.Identity(), path, in_channels=1)


@pytest.mark.parametrize("config", [MobileNetV2Config(), EfficientFormerV2Config()], ids=str)
def test_published_weights_fit_without_their_classifier(config, tmp_path):
    colour = build_network(config, in_channels=3, size_px=(64, 64)).backbone
    tensors = colour.state_dict()
    for name in weights_module.pretrained_layout(colour).classifiers:
        tensors[f"{name}weight"] = torch.zeros(1000, 4)
    save_file(tensors, tmp_path / "weights.safetensors")
    grey = build_network(config, in_channels=1, size_px=(64, 64)).backbone
    load_backbone(grey, tmp_path / "weights.safetensors", in_channels=1)
    stem = weights_module.pretrained_layout(colour).stem
    expected = tensors[stem].sum(dim=1, keepdim=True)
    torch.testing.assert_close(grey.state_dict()[stem], expected)


def test_weights_of_efficientformerv2_fit_one_input_size(tmp_path):
    built = build_network(EfficientFormerV2Config(), in_channels=1, size_px=(96, 96)).backbone
    save_file(built.state_dict(), tmp_path / "weights.safetensors")
    other = build_network(EfficientFormerV2Config(), in_channels=1, size_px=(64, 64)).backbone
    with pytest.raises(ModelIncompatible, match="another network or input size"):
        load_backbone(other, tmp_path / "weights.safetensors", in_channels=1)


@pytest.fixture
def no_network(monkeypatch):
    """Leave the hub's cache empty and its host out of reach."""

    class Unreachable:
        def head(self, *_arguments, **_options):
            raise ConnectionError("Name or service not known")

    def nothing_cached(*_arguments, local_files_only=False, **_options):
        assert local_files_only, "went on to the download, which tries for a minute"
        raise LocalEntryNotFoundError("nothing is cached")

    monkeypatch.setattr(weights_module, "hf_hub_download", nothing_cached)
    monkeypatch.setattr(weights_module, "get_session", Unreachable)


@pytest.mark.usefixtures("no_network")
def test_hub_out_of_reach_is_said_at_once_with_the_way_out():
    backbone = MobileNetV2(1, MobileNetV2Config()).backbone
    with pytest.raises(InputMissing, match="cannot be fetched from the hub") as caught:
        load_from_hub(backbone, in_channels=1)
    assert "huggingface.co/timm/mobilenetv2_100.ra_in1k" in str(caught.value)
    assert "--weights none" in str(caught.value)


def test_hub_weights_are_taken_from_the_cache(monkeypatch, tmp_path):
    colour = MobileNetV2(3, MobileNetV2Config()).backbone
    save_file(colour.state_dict(), tmp_path / "model.safetensors")
    cached = tmp_path / "model.safetensors"
    monkeypatch.setattr(weights_module, "hf_hub_download", lambda *_names, **_options: str(cached))
    grey = MobileNetV2(1, MobileNetV2Config()).backbone
    load_from_hub(grey, in_channels=1)
    assert torch.equal(grey.conv_head.weight, colour.conv_head.weight)
