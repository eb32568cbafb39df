# SPDX-License-Identifier: Apache-2.0
"""What a session asks of an engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import ModelInvalid
from aminet_runtime.metadata import Precision
from aminet_runtime.result import ResultWarning

INPUT = "slices"
PROBABILITIES = "probabilities"
EVIDENCE = "evidence"

CASE_ANSWER = 22


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
    """A network that is compiled for slices of one size.

    Most see all planes of a window at once: `input_hu` holds them, and `infer` answers. Some see
    each slice alone: `input_hu` holds one slice, `look` tells its features, and `infer` answers for
    those of the window that `features` holds.
    """

    @property
    def input_hu(self) -> NDArray[np.float32]:
        """float32 [C, H, W]: the memory that the network reads, to be written in place."""

    @property
    def features(self) -> NDArray[np.float32] | None:
        """float32 [window, L], low to high, to be written in place; None without `look`."""

    @property
    def settings(self) -> Mapping[str, str]:
        """The engine's settings as it reports them after compiling."""

    def look(self) -> NDArray[np.float32]:
        """See the slice that `input_hu` holds now; float32 [L], valid until the next look."""

    def infer(self) -> NetworkAnswer:
        """Answer for what `features` holds now, or `input_hu` where there are none.

        Raises:
            ModelInvalid: The answer holds a value that is no probability.
        """


class Engine(Protocol):
    """A network that was read and checked, and can be compiled for any size of slices."""

    @property
    def version(self) -> str:
        """Name and version of the engine."""

    @property
    def precision(self) -> Precision:
        """The number format that the network computes in."""

    @property
    def runs_what_was_measured(self) -> bool:
        """Whether this is the network and the engine of the bundle's figures."""

    def remarks(self) -> tuple[ResultWarning, ...]:
        """Say what a reader of a result should know about how it was computed."""

    def compile(self, *, height: int, width: int) -> CompiledNetwork:
        """Compile for slices [C, height, width].

        Raises:
            ModelInvalid: The network cannot take slices of this size.
            ModelIncompatible: This machine cannot run the network.
        """


def checked_answer(
    probabilities: NDArray[np.float32], evidence: NDArray[np.float32]
) -> NetworkAnswer:
    """Copy an answer out of the engine's memory.

    Args:
        probabilities: float32 [R].
        evidence: float32 [R, h, w].

    Raises:
        ModelInvalid: It holds a value that is no probability.
    """
    if not ((probabilities >= 0) & (probabilities <= 1)).all():  # False for NaN, too
        raise ModelInvalid(
            "the network answered with a value that is no probability",
            case=CASE_ANSWER,
            hint="run --doctor on this bundle; if its self-test passes, report the scan",
        )
    return NetworkAnswer(probabilities=probabilities.copy(), evidence=evidence.copy())
