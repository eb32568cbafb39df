# SPDX-License-Identifier: Apache-2.0
"""A backbone's features at several strides, and how coarse ones are brought to a finer map."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Widths:
    """How many features a backbone has at strides 4, 8, 16 and 32."""

    stride_4: int
    stride_8: int
    stride_16: int
    stride_32: int


class Maps(NamedTuple):
    """A backbone's features of a batch at strides 4, 8, 16 and 32, each [N, F, h', w']."""

    stride_4: Tensor
    stride_8: Tensor
    stride_16: Tensor
    stride_32: Tensor


def lift(coarse: Tensor, fine: Tensor, mix: nn.Module) -> Tensor:
    """Add features [N, F, h, w] to those at half their stride, [N, F, 2 h, 2 w], and mix."""
    lifted = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
    mixed: Tensor = F.relu6(mix(F.relu6(fine + lifted)))
    return mixed
