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


class LateFusionModel(DeployableModel):
    """A model that looks at each slice of a window alone and compares what it saw.

    It answers for windows of planes as any other. A host that goes through a volume may look at
    each slice once and keep the features: `alone`, then `together`.

    Attributes:
        alone: HU of slices to their features.
        together: Features of windows to answers.
    """

    def __init__(self, preprocessing: Preprocessing, network: nn.Module) -> None:
        super().__init__(preprocessing, network)
        self.alone = SliceModel(preprocessing.config, network)
        self.together = WindowModel(preprocessing.config, network)

    @property
    def slices(self) -> int:
        """Slices in a window."""
        return self.preprocessing.window.size

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Map raw HU [N, C * slices, H, W] to probabilities and evidence."""
        places = range(self.slices)
        apart = torch.cat([slices[:, place :: self.slices] for place in places])
        features = self.alone(apart)
        windows = features.reshape(self.slices, -1, features.shape[1]).transpose(0, 1)
        probabilities, evidence = self.together(windows)
        return probabilities, evidence


class SliceModel(nn.Module):
    """What a model with late fusion sees of each slice alone.

    Args:
        config: Window and resize of a slice.
        network: Of the whole.
    """

    def __init__(self, config: PreprocessingConfig, network: nn.Module) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(config)
        self.network = network

    def forward(self, slices: Tensor) -> Tensor:
        """Map raw HU [N, C, H, W] to features [N, L]; one plane a channel."""
        look = self.network.look(self.preprocessing(slices))  # type: ignore[operator]
        packed: Tensor = look.pack()
        return packed


class WindowModel(nn.Module):
    """What it makes of the features of a slice and of its neighbours.

    Args:
        config: Window and resize of a slice.
        network: Of the whole.
    """

    def __init__(self, config: PreprocessingConfig, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.layout = _layout(config, network)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features [N, slices, L], low to high, to what `DeployableModel` answers."""
        slices, shape = features.shape[1], self.layout.features
        middle = self.layout.unpack(features[:, slices // 2])
        compared = features[:, :, : shape.numel()].reshape(-1, slices, *shape)
        logits, evidence = self.network.head.conclude(middle, compared)  # type: ignore[union-attr,operator]
        return logits.sigmoid(), _of_whole_slice(evidence.sigmoid(), self.config)


def deployable(preprocessing: Preprocessing, network: nn.Module) -> DeployableModel:
    """Put a network with its preprocessing into the model that is exported."""
    late = preprocessing.window.late_fusion
    return (LateFusionModel if late else DeployableModel)(preprocessing, network)


def _layout(config: PreprocessingConfig, network: nn.Module) -> LookLayout:
    """Find the shapes of a slice's look by looking at an empty one."""
    with torch.inference_mode():
        empty = torch.zeros(1, config.views, *config.size_px)
        return LookLayout.of(network.look(empty))  # type: ignore[operator]


def _of_whole_slice(evidence: Tensor, config: PreprocessingConfig) -> Tensor:
    map_height = int(evidence.shape[2])  # TorchScript's tracing makes it a tensor
    parts = config.cell_parts(map_height)
    if parts > 1:
        evidence = F.interpolate(evidence, scale_factor=float(parts), mode="nearest")
    rows, columns = config.margin_cells(map_height * parts)
    return F.pad(evidence, (columns, columns, rows, rows)) if rows or columns else evidence
