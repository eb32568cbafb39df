# SPDX-License-Identifier: Apache-2.0
"""What stays float32 while a network trains in bfloat16."""

import functools

import torch
from torch import Tensor, nn


def keep_strided_depthwise_in_float32(network: nn.Module) -> None:
    """Let the depthwise convolutions that halve a map compute outside of autocast.

    PyTorch 2.14 has no fast gradient for them in bfloat16 on CPUs: with MobileNetV2's four in
    float32 a training step takes a fifth less time (docs/experiments.md 15).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _is_strided_depthwise(module):
            module.forward = functools.partial(_in_float32, module)  # type: ignore[method-assign]


def _is_strided_depthwise(convolution: nn.Conv2d) -> bool:
    return convolution.groups == convolution.in_channels > 1 and max(convolution.stride) > 1


def _in_float32(convolution: nn.Conv2d, maps: Tensor) -> Tensor:
    with torch.autocast(maps.device.type, enabled=False):
        # of the class, for timm's convolutions pad in a forward of their own
        features: Tensor = type(convolution).forward(convolution, maps.float())
    return features
