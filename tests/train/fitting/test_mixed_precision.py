# SPDX-License-Identifier: Apache-2.0
import torch
from torch import nn

from aminet_train.fitting.mixed_precision import keep_strided_depthwise_in_float32
from aminet_train.networks.mobilenetv2 import MobileNetV2, MobileNetV2Config, Padding


def seen_dtypes(network: nn.Module, images: torch.Tensor) -> dict[str, torch.dtype]:
    """Let a network see images in bfloat16, and return what each convolution gave."""
    dtypes: dict[str, torch.dtype] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda _module, _seen, given, name=name: dtypes.update({name: given.dtype})
            )
    with torch.autocast("cpu", torch.bfloat16):
        network(images)
    return dtypes


def test_only_depthwise_convolutions_that_halve_a_map_stay_float32():
    network = MobileNetV2(1, MobileNetV2Config(padding=Padding.SAME)).eval()
    keep_strided_depthwise_in_float32(network)
    dtypes = seen_dtypes(network, torch.rand(1, 1, 64, 64))
    floats = [name for name, dtype in dtypes.items() if dtype is torch.float32]
    assert floats == [f"backbone.blocks.{stage}.0.conv_dw" for stage in (1, 2, 3, 5)]
    assert len(dtypes) > 50


def test_without_autocast_nothing_changes():
    network = MobileNetV2(1, MobileNetV2Config(padding=Padding.SAME)).eval()
    images = torch.rand(1, 1, 64, 64)
    before = network(images)[0]
    names = list(network.state_dict())
    keep_strided_depthwise_in_float32(network)
    assert torch.equal(network(images)[0], before)
    assert list(network.state_dict()) == names
