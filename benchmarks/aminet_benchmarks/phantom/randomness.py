# SPDX-License-Identifier: Apache-2.0
"""Independent random streams by name, so that a change in one part leaves all others alone."""

import zlib

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def stream(seed: int, part: str) -> np.random.Generator:
    """Return the generator of one part of one patient.

    Args:
        seed: Seed of the patient.
        part: Name of the part, for example `arteries`.
    """
    return np.random.default_rng([seed, zlib.crc32(part.encode())])


def smooth_waves(
    rng: np.random.Generator, *, wavelength_mm: float, components: int = 3, count: int = 10
) -> "Waves":
    """Draw a smooth random vector field of unit SD as a sum of plane waves.

    Args:
        rng: Source of randomness.
        wavelength_mm: Typical wavelength.
        components: Components of the vector.
        count: Plane waves.
    """
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = wavelength_mm * rng.uniform(0.7, 1.6, size=(count, 1))
    return Waves(
        frequency=(2 * np.pi * direction / length).astype(np.float32),
        phase=rng.uniform(0, 2 * np.pi, count).astype(np.float32),
        weight=(rng.normal(size=(count, components)) * np.sqrt(2 / count)).astype(np.float32),
    )


class Waves:
    """A sum of plane waves that can be evaluated at any point."""

    __slots__ = ("frequency", "phase", "weight")

    def __init__(
        self,
        *,
        frequency: NDArray[np.float32],
        phase: NDArray[np.float32],
        weight: NDArray[np.float32],
    ) -> None:
        self.frequency = frequency
        self.phase = phase
        self.weight = weight

    def __call__(self, points_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Evaluate at points [..., 3] mm; returns [..., components]."""
        angle = points_mm @ self.frequency.T + self.phase
        return np.asarray(np.sin(angle) @ self.weight, dtype=np.float32)


def band_noise(
    rng: np.random.Generator, shape: tuple[int, int, int], *, sigma: float
) -> NDArray[np.float32]:
    """Draw a smooth random grid of unit SD.

    Args:
        rng: Source of randomness.
        shape: Shape of the grid.
        sigma: Gaussian smoothing, in grid steps.
    """
    noise = rng.standard_normal(shape, dtype=np.float32)
    smooth = gaussian_filter(noise, sigma, mode="wrap", truncate=3.0)
    return np.asarray((smooth - smooth.mean()) / smooth.std(), dtype=np.float32)
