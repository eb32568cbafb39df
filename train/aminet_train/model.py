# SPDX-License-Identifier: Apache-2.0
"""The whole model: raw HU in, probabilities and evidence out. This is what is exported."""

from torch import Tensor, nn
from torch.nn import functional as F

from aminet_train.preprocessing import Preprocessing


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
        return logits.sigmoid(), self._of_whole_slice(evidence.sigmoid())

    def _of_whole_slice(self, evidence: Tensor) -> Tensor:
        config = self.preprocessing.config
        map_height = int(evidence.shape[2])  # TorchScript's tracing makes it a tensor
        parts = config.cell_parts(map_height)
        if parts > 1:
            evidence = F.interpolate(evidence, scale_factor=float(parts), mode="nearest")
        rows, columns = config.margin_cells(map_height * parts)
        return F.pad(evidence, (columns, columns, rows, rows)) if rows or columns else evidence


class SpiralModel(DeployableModel):
    """The SPIRAL baseline: the planes go to the maximum as they are.

    The map is a probability already, so there is no window, no resize and no sigmoid.
    """

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """Map planes [N, 2, H, W], SPIRAL and atlas, to probabilities and evidence."""
        probabilities, evidence = self.network(slices)
        return probabilities, evidence
