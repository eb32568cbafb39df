# SPDX-License-Identifier: Apache-2.0
"""One strong smooth warp between a template and a patient's head, the same for all that is in it.

Images are pulled back (`to_template_mm`), centrelines pushed forward (`to_head_mm`), so that
vessels stay in their cisterns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.randomness import Waves, smooth_waves, stream

Points = NDArray[np.float32]

LONG_WAVE_MM = 150.0
SHORT_WAVE_MM = 80.0
LONG_AMPLITUDE_MM = 3.2  # SD along each axis
SHORT_AMPLITUDE_MM = 0.7
CENTRE_MM = (0.0, -20.0, -10.0)
SCALE_LOW = (0.94, 0.93, 0.935)  # the template's vertex is at 99 mm, that of the head frame at 94
SCALE_HIGH = (1.04, 1.00, 0.96)
PUSH_ROUNDS = 25  # the warp contracts by half and more a round


@dataclass(frozen=True, slots=True)
class HeadWarp:
    """The warp of one patient.

    Attributes:
        mirrored: Whether right and left of the template change places.
        scale: float32 [3], size of the head against the template.
        long: Waves over the whole head.
        short: Waves over a lobe.
    """

    mirrored: bool
    scale: NDArray[np.float32]
    long: Waves
    short: Waves

    def to_template_mm(self, head_mm: Points) -> Points:
        """Map points [..., 3] of the head frame into the template."""
        moved = (head_mm - np.array(CENTRE_MM, np.float32)) / self.scale
        moved += np.array(CENTRE_MM, np.float32) + self._offset(head_mm)
        return self._flipped(np.asarray(moved, np.float32))

    def to_head_mm(self, template_mm: Points) -> Points:
        """Map points [..., 3] of the template into the head frame: the inverse, by iteration."""
        goal = self._flipped(template_mm) - np.array(CENTRE_MM, np.float32)
        head = goal + np.array(CENTRE_MM, np.float32)
        for _ in range(PUSH_ROUNDS):
            head = (goal - self._offset(head)) * self.scale + np.array(CENTRE_MM, np.float32)
        return np.asarray(head, np.float32)

    def _offset(self, head_mm: Points) -> Points:
        long = np.float32(LONG_AMPLITUDE_MM) * self.long(head_mm)
        return np.asarray(long + np.float32(SHORT_AMPLITUDE_MM) * self.short(head_mm), np.float32)

    def _flipped(self, points: Points) -> Points:
        return points * np.array([-1, 1, 1], np.float32) if self.mirrored else points


def draw_warp(seed: int, *, mirrored: bool) -> HeadWarp:
    """Draw the warp of a patient."""
    rng = stream(seed, "head warp")
    return HeadWarp(
        mirrored=mirrored,
        scale=rng.uniform(SCALE_LOW, SCALE_HIGH).astype(np.float32),
        long=smooth_waves(rng, wavelength_mm=LONG_WAVE_MM),
        short=smooth_waves(rng, wavelength_mm=SHORT_WAVE_MM),
    )
