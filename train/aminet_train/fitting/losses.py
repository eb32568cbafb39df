# SPDX-License-Identifier: Apache-2.0
"""What training minimises."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aminet_runtime.errors import InputInconsistent
from aminet_train.fitting.dataset import SliceBatch


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weights of the loss.

    Attributes:
        positive_weight: Of a true (slice, region) pair against a false one; the report tuned it
            between 10 and 90 and found its best networks near 15.
        elsewhere_target: What is wanted of a slice for a region that holds clot in other slices of
            the patient, 0..1; 0 asks for the clot itself, more for what its tissue tells.
        mask_weight: Of the clot mask's part; 0 trains on slice labels alone.
        mask_positive_weight: Of a clot cell against an empty one.
    """

    positive_weight: float = 15.0
    elsewhere_target: float = 0.0
    mask_weight: float = 0.0
    mask_positive_weight: float = 20.0

    def __post_init__(self) -> None:
        """Refuse a target that is no probability."""
        if not 0 <= self.elsewhere_target <= 1:  # refuses NaN, too
            raise ValueError(f"elsewhere_target is 0 to 1, not {self.elsewhere_target:g}")


def wanted_answers(batch: SliceBatch, config: LossConfig) -> Tensor:
    """Return what the network should answer, [N, 15], 0..1."""
    return batch.labels + config.elsewhere_target * batch.elsewhere


def slice_loss(logits: Tensor, wanted: Tensor, config: LossConfig) -> Tensor:
    """Return weighted binary cross-entropy over (slice, region) pairs [N, 15]."""
    weight = torch.tensor(config.positive_weight)
    return F.binary_cross_entropy_with_logits(logits.float(), wanted, pos_weight=weight)


def mask_loss(evidence: Tensor, cells: Tensor, config: LossConfig) -> Tensor:
    """Return weighted binary cross-entropy of the evidence map against the clot cells.

    Cells next to a clot cell do not count: the clot may reach into them, and augmentation moves it
    by fractions of a cell. Where the map is coarser than the cells, as for inputs below 224 x 224,
    a place of the map holds clot if any cell in it does.

    Args:
        evidence: Logits [N, 15, h, w].
        cells: 0 or 1, [N, 15, gh, gw], not coarser than the map.
        config: Weights.

    Raises:
        InputInconsistent: The map is finer than the cells.
    """
    if any(
        map_edge > edge for map_edge, edge in zip(evidence.shape[2:], cells.shape[2:], strict=True)
    ):
        sizes = " x ".join(map(str, evidence.shape[2:])), " x ".join(map(str, cells.shape[2:]))
        raise InputInconsistent(
            f"the evidence map is {sizes[0]}, finer than the clot cells, {sizes[1]}",
            hint="prepare slices of at most 224 x 224, or train without masks",
        )
    cells = F.adaptive_max_pool2d(cells, evidence.shape[2:])
    near = F.max_pool2d(cells, kernel_size=3, stride=1, padding=1)
    counted = (cells + (1 - near)).clamp(max=1.0)
    weight = torch.tensor(config.mask_positive_weight)
    losses = F.binary_cross_entropy_with_logits(
        evidence.float(), cells, pos_weight=weight, reduction="none"
    )
    # summed over the map, so that one clot cell weighs as much as one slice label
    return (losses * counted).sum(dim=(2, 3)).mean()


def total_loss(logits: Tensor, evidence: Tensor, batch: SliceBatch, config: LossConfig) -> Tensor:
    """Return the sum of slice and mask loss."""
    loss = slice_loss(logits, wanted_answers(batch, config), config)
    if config.mask_weight:
        loss = loss + config.mask_weight * mask_loss(evidence, batch.cells, config)
    return loss
