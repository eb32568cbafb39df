# SPDX-License-Identifier: Apache-2.0
"""The whole model: raw HU in, probabilities and evidence out. This is what is exported."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aminet_train.networks.late_fusion import LookLayout
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig


class DeployableModel(nn.Module):
    """Preprocessing, network and sigmoid in one graph.

    Args:
        preprocessing: Window and resize.
        network: Input 0..1 to logits and evidence.
    """

    def __init__(self, preprocessing: Preprocessing, network: nn.Module) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.network = network

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Map raw HU [N, C, H, W] to probabilities [N, 15] and evidence 0..1 [N, 15, h, w].

        The evidence covers the whole slice: in the margin, which the network does not see, it is 0.
        Cells that the margin's edge would cut are cut into parts of the same value.
        """
        logits, evidence = self.network(self.preprocessing(slices))
        return logits.sigmoid(), _of_whole_slice(evidence.sigmoid(), self.preprocessing.config)


class SpiralModel(DeployableModel):
    """The SPIRAL baseline: the planes go to the maximum as they are.

    The map is a probability already, so there is no window, no resize and no sigmoid.
    """

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Map planes [N, 2, H, W], SPIRAL and atlas, to probabilities and evidence."""
        probabilities, evidence = self.network(slices)
        return probabilities, evidence


class SliceModel(nn.Module):
    """The first part of a model with late fusion: what it sees of each slice alone.

    Args:
        model: The whole.
    """

    def __init__(self, model: DeployableModel) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(model.preprocessing.config)
        self.network = model.network

    def forward(self, slices: Tensor) -> Tensor:
        """Map raw HU [N, C, H, W] to features [N, L]; one plane a channel."""
        look = self.network.look(self.preprocessing(slices))  # type: ignore[operator]
        packed: Tensor = look.pack()
        return packed


class WindowModel(nn.Module):
    """The second part: the features of a slice and of its neighbours to the answer.

    Args:
        model: The whole.
    """

    def __init__(self, model: DeployableModel) -> None:
        super().__init__()
        self.network = model.network
        self.config = model.preprocessing.config
        self.layout = _layout(model)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features [N, slices, L], low to high, to what `DeployableModel` answers."""
        slices, shape = features.shape[1], self.layout.features
        middle = self.layout.unpack(features[:, slices // 2])
        compared = features[:, :, : shape.numel()].reshape(-1, slices, *shape)
        logits, evidence = self.network.head.conclude(middle, compared)  # type: ignore[union-attr,operator]
        return logits.sigmoid(), _of_whole_slice(evidence.sigmoid(), self.config)


def _layout(model: DeployableModel) -> LookLayout:
    """Find the shapes of a slice's look by looking at an empty one."""
    config = model.preprocessing.config
    with torch.inference_mode():
        return LookLayout.of(model.network.look(torch.zeros(1, config.views, *config.size_px)))  # type: ignore[operator]


def _of_whole_slice(evidence: Tensor, config: PreprocessingConfig) -> Tensor:
    map_height = int(evidence.shape[2])  # TorchScript's tracing makes it a tensor
    parts = config.cell_parts(map_height)
    if parts > 1:
        evidence = F.interpolate(evidence, scale_factor=float(parts), mode="nearest")
    rows, columns = config.margin_cells(map_height * parts)
    return F.pad(evidence, (columns, columns, rows, rows)) if rows or columns else evidence
