# SPDX-License-Identifier: Apache-2.0
"""The neighbours that a network sees beside a slice."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.slice_window import window_step

WINDOW_SIZES = (1, 3, 5)
"""How many neighbouring slices a network may look at."""


@dataclass(frozen=True, slots=True)
class SliceWindow:
    """The neighbours that a network sees beside the slice that it answers for.

    Attributes:
        size: Slices in the window, the middle one counted: 1, 3 or 5.
        spacing_mm: From one neighbour to the next, rounded to whole slices and at least one; None
            for the next stored slice.
        slab: Show the maximum over the window (a slab MIP) and not its slices side by side.
        mirrored: Show the left-right flipped planes too, as further channels.
        late_fusion: Look at each slice alone and compare the features that this gives, rather than
            showing the slices to the network side by side.
    """

    size: int = 1
    spacing_mm: float | None = None
    slab: bool = False
    mirrored: bool = False
    late_fusion: bool = False

    def __post_init__(self) -> None:
        """Refuse a window that cannot be meant."""
        if self.size not in WINDOW_SIZES:
            raise ValueError(f"a window of {self.size} slices is none of {WINDOW_SIZES}")
        if self.spacing_mm is not None and self.spacing_mm <= 0:
            raise ValueError(f"neighbours {self.spacing_mm} mm apart")
        if self.late_fusion and (self.size == 1 or self.slab or self.mirrored):
            raise ValueError("late fusion needs a window of 3 or 5 slices, side by side")

    @property
    def fused_slices(self) -> int:
        """Slices whose features are compared for one answer; 1 without late fusion."""
        return self.size if self.late_fusion else 1

    def neighbours(
        self, centres: NDArray[np.int32], *, slice_spacing_mm: float, slice_count: int
    ) -> NDArray[np.int32]:
        """List the slices of each window, low to high; beyond the ends the last slice repeats.

        Args:
            centres: int32 [m], canonical slice numbers.
            slice_spacing_mm: Of the patient.
            slice_count: Of the patient.

        Returns:
            int32 [m, size].
        """
        step = window_step(self.spacing_mm, slice_spacing_mm=slice_spacing_mm)
        half = self.size // 2
        offsets = np.arange(-half, half + 1, dtype=np.int32) * step
        places: NDArray[np.int32] = centres.astype(np.int32)[:, None] + offsets
        return places.clip(0, slice_count - 1)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SliceWindow":
        """Read what `to_json` wrote."""
        return cls(**values)


SINGLE_SLICE = SliceWindow()
