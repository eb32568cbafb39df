# SPDX-License-Identifier: Apache-2.0
"""The source report's simple CNN: two 5x5 convolution blocks of 32, a feature layer, 15 outputs."""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from aminet_runtime.regions import REGION_COUNT

CHANNELS = 32
KERNEL_PX = 5


class Activation(StrEnum):
    """The report's choices."""

    RELU = "relu"
    SIGMOID = "sigmoid"
    TANH = "tanh"


_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    Activation.RELU: nn.ReLU,
    Activation.SIGMOID: nn.Sigmoid,
    Activation.TANH: nn.Tanh,
}


@dataclass(frozen=True, slots=True)
class SimpleCnnConfig:
    """The report's search space; the defaults are its best trial on CTA.

    Attributes:
        pool: Factor of each of the two max pools.
        features: Width of the dense feature layer.
        dropout: Behind the feature layer.
        extra_layers: Further dense layers of the same width.
        activation: Of all layers.
    """

    pool: int = 4
    features: int = 512
    dropout: float = 0.27
    extra_layers: int = 2
    activation: Activation = Activation.TANH

    def __post_init__(self) -> None:
        """Refuse a network that cannot be meant."""
        for name, least in (("pool", 1), ("features", 1), ("extra_layers", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:  # nor NaN
            raise ValueError(f"dropout is 0 to 1 (1 excluded), not {self.dropout:g}")


class SimpleCnn(nn.Module):
    """Two convolution blocks, then dense layers on the flattened map.

    A dense layer on a flattened map has no class-activation map; the evidence is what the feature
    layer adds up at each place, which is exact for the linear part.
    """

    def __init__(self, in_channels: int, size_px: tuple[int, int], config: SimpleCnnConfig) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*_block(in_channels, config), *_block(CHANNELS, config))
        height, width = (edge // config.pool // config.pool for edge in size_px)
        self.feature_layer = nn.Linear(CHANNELS * height * width, config.features)
        self.tail = nn.Sequential(*_dense_layers(config))
        self.classifier = nn.Linear(config.features, REGION_COUNT)

    def forward(self, network_input: Tensor) -> tuple[Tensor, Tensor]:
        """Map input 0..1 [N, C, h, w] to logits [N, 15] and evidence [N, 15, h', w']."""
        maps = self.blocks(network_input)
        logits = self.classifier(self.tail(self.feature_layer(maps.flatten(1))))
        return logits, self._evidence(maps)

    def _evidence(self, maps: Tensor) -> Tensor:
        # (F, C*h*w) of the feature layer, seen through the classifier: (15, C, h, w)
        seen = self.classifier.weight @ self.feature_layer.weight
        weights = seen.view(REGION_COUNT, *maps.shape[1:])
        return torch.einsum("nchw,rchw->nrhw", maps, weights)


def _block(in_channels: int, config: SimpleCnnConfig) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, CHANNELS, KERNEL_PX, padding=KERNEL_PX // 2),
        _ACTIVATIONS[config.activation](),
        nn.MaxPool2d(config.pool),
    ]


def _dense_layers(config: SimpleCnnConfig) -> list[nn.Module]:
    layers: list[nn.Module] = [_ACTIVATIONS[config.activation](), nn.Dropout(config.dropout)]
    for _ in range(config.extra_layers):
        layers += [
            nn.Linear(config.features, config.features),
            _ACTIVATIONS[config.activation](),
        ]
    return layers
