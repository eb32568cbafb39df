# SPDX-License-Identifier: Apache-2.0
"""Why healthy tissue does not fill evenly: smooth random delay and blood volume.

Chronic stenoses and the habit of their collaterals, leukoaraiosis, asymmetry and motion make the
perfusion of people uneven at the scale of a territory, and noise at that of a few millimetres.
None of it comes from the clot, and it is not mirrored, so that the sides differ. A threshold on a
perfusion map is a weak finder of clots for this reason; the amplitudes were fitted to how weak it
was in the source report.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.bolus import Bolus
from aminet_benchmarks.phantom.randomness import Waves, smooth_waves, stream

Field = NDArray[np.float32]

PHASES = 3
WAVES = 30  # a scale; few would make stripes
LUXURY = 0.3  # most blood above the normal; of losses there is no end
WEAK_PEAK_HU = 380.0  # a weaker bolus makes the phases differ more
HYPODENSE_HU = 1.5  # SD of what leukoaraiosis and cupping do to the HU without contrast
HYPODENSE_WAVELENGTH_MM = 70.0


@dataclass(frozen=True, slots=True)
class _Scale:
    """SD of the unevenness at one scale; a wave's half is the size of a patch.

    Attributes:
        wavelength_mm: Typical wavelength.
        delay_s: Of the arrival.
        blood: Of the logarithm of the blood volume.
        phase: Of the logarithm of what each phase shows of it: motion and noise.
    """

    wavelength_mm: float
    delay_s: float
    blood: float
    phase: float


SCALES = (
    _Scale(wavelength_mm=100, delay_s=1.3, blood=0.37, phase=0.10),
    _Scale(wavelength_mm=55, delay_s=1.0, blood=0.25, phase=0.10),
    _Scale(wavelength_mm=24, delay_s=0.3, blood=0.10, phase=0.06),
)


class Unevenness:
    """The uneven filling of one patient, the same with a clot and without.

    Args:
        seed: Seed of the patient.
        bolus: A weak one is seen less evenly.
        amount: Scale of all amplitudes; 0 fills evenly.
    """

    __slots__ = ("_amount", "_hypodense", "_parts")

    def __init__(self, seed: int, bolus: Bolus, *, amount: float) -> None:
        rng = stream(seed, "unevenness")
        weakness = float(np.sqrt(WEAK_PEAK_HU / bolus.peak_hu))
        self._amount = np.float32(amount)
        self._parts: list[tuple[Waves, Field]] = []
        for scale in SCALES:
            sd = [scale.delay_s, scale.blood, *[scale.phase * weakness] * PHASES]
            waves = smooth_waves(
                rng, wavelength_mm=scale.wavelength_mm, components=len(sd), count=WAVES
            )
            self._parts.append((waves, np.array(sd, np.float32)))
        self._hypodense = smooth_waves(
            rng, wavelength_mm=HYPODENSE_WAVELENGTH_MM, components=1, count=WAVES
        )

    def filling(self, points: Field) -> tuple[Field, Field]:
        """Return what is uneven at points [..., 3] of the head.

        Returns:
            Seconds of delay [...], and the factor on the blood seen in each phase [3, ...].
        """
        parts = [waves(points) * sd for waves, sd in self._parts]
        total = np.add.reduce(parts) * self._amount
        blood = total[..., 1:2] + total[..., 2:]
        factor = np.exp(np.minimum(blood, 0)) + LUXURY * np.tanh(np.maximum(blood, 0) / LUXURY)
        delay_s = np.asarray(total[..., 0], np.float32)
        return delay_s, np.asarray(np.moveaxis(factor, -1, 0), np.float32)

    def hypodense_hu(self, points: Field) -> Field:
        """Return what is added to the HU without contrast at points [..., 3], [...]."""
        return np.asarray(self._hypodense(points)[..., 0] * self._amount * HYPODENSE_HU, np.float32)
