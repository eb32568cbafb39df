# SPDX-License-Identifier: Apache-2.0
"""Small networks that guess, from one slice, the regions of the slice and those of the patient."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from aminet_benchmarks.phantom.atlas import REGION_MIRROR
from aminet_runtime.regions import REGION_COUNT

Field = NDArray[np.float32]

BATCH = 64
WEIGHT_DECAY = 1e-3
DROPOUT = 0.2
OUTPUTS = 2 * REGION_COUNT  # the slice's regions, then the patient's


@dataclass(frozen=True, slots=True)
class Table:
    """Slices of many patients, one a row.

    Attributes:
        inputs: float [R, ...], images or features.
        height: float32 [R], place of the slice, 0 the lowest to 1 the highest.
        labels: float32 [R, OUTPUTS].
    """

    inputs: Tensor
    height: Tensor
    labels: Tensor


def guess_from_images(train: Table, test: Table, *, epochs: int, seed: int) -> Field:
    """Train on images [R, C, H, W] and their heights; returns logits [R, OUTPUTS] of the test."""
    torch.manual_seed(seed)
    network = ImageProbe(train.inputs.shape[1])
    _fit(network, train, epochs=epochs, learning_rate=2e-3, augment=_flipped)
    return _logits(network, test)


def guess_from_features(train: Table, test: Table, *, epochs: int, seed: int) -> Field:
    """Train on features [R, F]; returns logits [R, OUTPUTS] of the test."""
    torch.manual_seed(seed)
    mean, sd = train.inputs.mean(dim=0), train.inputs.std(dim=0) + 1e-6
    standard = [Table((t.inputs - mean) / sd, t.height, t.labels) for t in (train, test)]
    network = FeatureProbe(train.inputs.shape[1])
    _fit(network, standard[0], epochs=epochs, learning_rate=3e-3, augment=lambda *batch: batch)
    return _logits(network, standard[1])


class ImageProbe(nn.Module):
    """Four convolutions over a slice, its mirror image and its coordinates."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (2 * channels + 3, 24, 32, 48, 64)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.decide = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(1024, OUTPUTS)
        )

    def forward(self, images: Tensor, height: Tensor) -> Tensor:
        """Return logits [N, OUTPUTS] of images [N, C, H, W]."""
        count, _, rows, columns = images.shape
        down = torch.linspace(-1, 1, rows).view(1, 1, rows, 1).expand(count, 1, rows, columns)
        right = torch.linspace(-1, 1, columns).view(1, 1, 1, columns).expand_as(down)
        up = height.view(count, 1, 1, 1).expand_as(down)
        seen = torch.cat([images, images.flip(-1), down, right, up], dim=1)
        logits: Tensor = self.decide(self.features(seen))
        return logits


class FeatureProbe(nn.Module):
    """A perceptron with one hidden layer over the features; they hold the height already."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, 64), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(64, OUTPUTS)
        )

    def forward(self, features: Tensor, _height: Tensor) -> Tensor:
        """Return logits [N, OUTPUTS] of features [N, F]."""
        logits: Tensor = self.layers(features)
        return logits


Augment = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def _fit(
    network: nn.Module, train: Table, *, epochs: int, learning_rate: float, augment: Augment
) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(train.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    network.train()
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(train.labels)), BATCH):
            inputs, height, labels = augment(
                train.inputs[rows].float(), train.height[rows], train.labels[rows]
            )
            loss = F.binary_cross_entropy_with_logits(network(inputs, height), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            optimizer.step()
            schedule.step()


def _flipped(images: Tensor, height: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mirror half of the batches, left to right, with their regions."""
    if torch.rand(()) < 0.5:
        return images, height, labels
    mirror = torch.tensor([*REGION_MIRROR, *(REGION_COUNT + r for r in REGION_MIRROR)])
    return images.flip(-1), height, labels[:, mirror]


@torch.inference_mode()
def _logits(network: nn.Module, table: Table) -> Field:
    network.eval()
    parts = [
        network(table.inputs[rows].float(), table.height[rows])
        for rows in torch.split(torch.arange(len(table.labels)), BATCH)
    ]
    return np.asarray(torch.cat(parts).numpy(), np.float32)
