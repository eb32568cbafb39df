# SPDX-License-Identifier: Apache-2.0
"""What a session asks of an engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class NetworkAnswer:
    """What the network says about one slice.

    Attributes:
        probabilities: float32 [R] in 0..1, one for each region.
        evidence: float32 [R, h, w], where the network looked; h x w covers the whole slice.
    """

    probabilities: NDArray[np.float32]
    evidence: NDArray[np.float32]


class CompiledNetwork(Protocol):
    """A network that is compiled for slices of one size."""

    @property
    def input_hu(self) -> NDArray[np.float32]:
        """float32 [C, H, W]: the memory that the network reads, to be written in place."""

    @property
    def settings(self) -> Mapping[str, str]:
        """The engine's settings as it reports them after compiling."""

    def infer(self) -> NetworkAnswer:
        """Answer for what `input_hu` holds now.

        Raises:
            ModelInvalid: The answer holds a value that is no probability.
        """


class Engine(Protocol):
    """A network that was read and checked, and can be compiled for any size of slices."""

    @property
    def version(self) -> str:
        """Name and version of the engine."""

    @property
    def is_same_everywhere(self) -> bool:
        """Whether the arithmetic is capped to what all machines compute alike."""

    def compile(self, *, height: int, width: int) -> CompiledNetwork:
        """Compile for slices [C, height, width].

        Raises:
            ModelInvalid: The network cannot take slices of this size.
            ModelIncompatible: This machine cannot run the network.
        """
