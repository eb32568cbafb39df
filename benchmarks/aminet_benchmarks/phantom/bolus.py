# SPDX-License-Identifier: Apache-2.0
"""The contrast bolus: a gamma-variate that widens on its way, and the times of the phases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.config import PhantomConfig

BOLUS_SHAPE = 3.0  # alpha of the gamma-variate
CAROTID_ARRIVAL_S = 0.7  # from the neck to the siphon, where the peak is looked for
RECIRCULATION = 0.18  # plateau behind the first pass, share of the peak
RECIRCULATION_S = 6.0
DISPERSION_PER_S = 0.07  # relative widening of the bolus for each second of delay
LONGEST_DELAY_S = 30.0
NEVER_S = 1e3
PHASE_TIME_SD_S = 0.3


@dataclass(frozen=True, slots=True)
class Bolus:
    """The contrast bolus at the inlets.

    Attributes:
        peak_hu: Enhancement at the peak.
        width_s: Scale (beta) of the gamma-variate.
        phase_s: Times of the three phases after the bolus has reached the inlets.
    """

    peak_hu: float
    width_s: float
    phase_s: tuple[float, float, float]


def draw_bolus(rng: np.random.Generator, config: PhantomConfig) -> Bolus:
    """Draw the bolus and the times of the phases of a patient."""
    width_s = float(rng.uniform(*config.bolus_width_s))
    timing_error_s = float(rng.uniform(*config.timing_error_s))
    first_s = BOLUS_SHAPE * width_s + CAROTID_ARRIVAL_S + timing_error_s
    second_s, third_s = (
        first_s + delay_s + float(rng.normal(0, PHASE_TIME_SD_S))
        for delay_s in config.phase_delay_s
    )
    return Bolus(
        peak_hu=float(rng.uniform(*config.artery_peak_hu)),
        width_s=width_s,
        phase_s=(first_s, second_s, third_s),
    )


def enhancement(
    bolus: Bolus, *, time_s: NDArray[np.float32], arrival_s: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the enhancement at a time, for blood that arrives with a delay.

    A gamma-variate that widens with the delay and keeps its area, and a plateau of recirculation.

    Args:
        bolus: The bolus at the inlets.
        time_s: [N] times after the bolus has reached the inlets.
        arrival_s: [N] delays of the blood, inf for never.

    Returns:
        float32 [N], HU above unenhanced blood.
    """
    delay = np.where(np.isfinite(arrival_s), arrival_s, NEVER_S)
    width = bolus.width_s * (1 + DISPERSION_PER_S * np.minimum(delay, LONGEST_DELAY_S))
    to_peak = BOLUS_SHAPE * width
    since = np.maximum(time_s - delay, 0) / to_peak
    first_pass = since**BOLUS_SHAPE * np.exp(BOLUS_SHAPE * (1 - since)) * bolus.width_s / width
    later = np.maximum(time_s - delay - to_peak, 0) / RECIRCULATION_S
    plateau = RECIRCULATION * (1 - np.exp(-later))
    return np.asarray(bolus.peak_hu * (first_pass + plateau), np.float32)
