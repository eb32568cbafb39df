# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from aminet_runtime.errors import InputDamaged, InputMissing, ModelIncompatible
from aminet_train.networks import build_network
from aminet_train.networks.heads import DenseHead, GapHead, Head
from aminet_train.networks.mobilenetv2 import MobileNetV2, MobileNetV2Config, Padding
from aminet_train.networks.simple_cnn import SimpleCnnConfig
from aminet_train.networks.weights import (
    has_folded_batch_norm,
    load_backbone,
    unfold_batch_norm,
)

CONFIGS = [
    SimpleCnnConfig(),
    MobileNetV2Config(),
    MobileNetV2Config(head=Head.DENSE),
    MobileNetV2Config(padding=Padding.SAME),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_gives_15_logits_and_15_evidence_maps(config, channels):
    network = build_network(config, in_channels=channels, size_px=(96, 96)).eval()
    logits, evidence = network(torch.rand(2, channels, 96, 96))
    assert logits.shape == (2, 15)
    assert evidence.shape[:2] == (2, 15)
    assert evidence.shape[2] == evidence.shape[3] > 1


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
