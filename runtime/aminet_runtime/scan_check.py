# SPDX-License-Identifier: Apache-2.0
"""Is this a head CT in Hounsfield units? Measured while the slices stream by.

A network answers whatever it is shown, so a chest, a windowed image or a wrong offset must be
noticed here. Each slice is looked at on a coarse raster (64 x 64), which costs less than 0.1 ms.
The limits are wide: they tell a head from what is none, and do not judge a good scan from a bad.

The body is all that is denser than fat: -200 HU and more. Voxels of exactly 0 HU are left out:
registration tools fill with zero what lay outside of the scan.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputUnsuitable
from aminet_runtime.nifti import NiftiHeader
from aminet_runtime.volume import AxialSlice

FIELD_OF_VIEW_MM = (120.0, 400.0)  # a newborn's head just fits; body scans use 420 to 500
LENGTH_MM = (30.0, 500.0)  # a thin slab of the brain to an angiography from the aortic arch up
AIR_HU = (-1100, -900)  # -1000, with noise and the air in foam
LUNG_HU = (-900, -500)  # inflated lung is -850 to -650
BODY_HU = -200  # between air-filled foam and fat
SOFT_TISSUE_HU = (1, 100)  # brain 25..45, blood and muscle to 70, with noise; 0 may be fill
BONE_HU = (
    300  # thick slices blur the skull to 300..700; arteries are as bright, but below 1 % of a body
)
MIN_AIR_SHARE = 0.01  # of all voxels; 0.2 to 0.6 are usual, little is left where zero was filled in
BONE_SHARE = (0.02, 0.5)  # of the body; head 0.08 to 0.25, neck and shoulders 0.05
MIN_SOFT_TISSUE_SHARE = 0.2  # of the body; 0.5 to 0.8 are usual
MIN_CROSS_SECTION_CM2 = 50.0  # the largest slice; a newborn's head has 80
MAX_CROSS_SECTION_CM2 = 450.0  # of a head slice; 21 x 17 cm and its holder have 310, a chest 500+
MAX_LUNG_SHARE = 0.25  # of a head slice's body and lung; sinuses have 0.05, a chest 0.5
MAX_CHEST_SHARE = 0.5  # of the slices; a scan from the arch to the vertex has 0.3
EMPTY_SLICE_CM2 = 10.0  # a table alone

_RASTER = 64  # samples along the longer side: every 8th voxel of 512, 4 mm
_LOWEST_HU, _HIGHEST_HU = -1101, 3100  # all beyond is counted at the ends
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_CT_OFFSET = 1024  # unsigned CT values are HU + 1024
_NARROW_RANGE_HU = 1000.0  # air to water alone is 1000
_SCAN_HINT = "check that this is the CTA of a head, converted from DICOM with its HU"


@dataclass(frozen=True, slots=True)
class ScanQuality:
    """What was measured, on the raster of samples.

    Attributes:
        field_of_view_mm: Along columns and rows (x, y).
        length_mm: Along the body.
        range_hu: Lowest and highest value.
        air_share: Air among all voxels but those that were filled in, 0..1.
        bone_share: Bone in the body, 0..1.
        soft_tissue_share: Brain, blood and muscle in the body, 0..1.
        soft_tissue_hu: Median of the soft tissue.
        cross_section_cm2: Body in the largest slice.
        chest_share: Slices that look like a chest or a belly, of those that hold a body, 0..1.
    """

    field_of_view_mm: tuple[float, float]
    length_mm: float
    range_hu: tuple[float, float]
    air_share: float
    bone_share: float
    soft_tissue_share: float
    soft_tissue_hu: float
    cross_section_cm2: float
    chest_share: float


class Scan(Protocol):
    """What is asked about a volume; `aminet_runtime.volume.Volume` is one."""

    @property
    def path(self) -> Path:
        """The file, for messages."""

    @property
    def header(self) -> NiftiHeader:
        """Datatype and scaling of the stored voxels."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Canonical (Z, H, W)."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Canonical (x, y, z)."""


class ScanCheck:
    """Collects figures slice by slice, and judges them at the end."""

    def __init__(self, volume: Scan) -> None:
        """Check the size of the scan, before any voxel is read.

        Raises:
            InputUnsuitable: The field of view or the length is not that of a head scan.
        """
        require_head_size(volume)
        _depth, height, width = volume.shape
        x_mm, y_mm, _z_mm = volume.spacing_mm
        self._path = volume.path
        self._header = volume.header
        self._step = raster_step(height, width)
        self._sample_cm2 = self._step**2 * x_mm * y_mm / 100.0
        self._field_of_view_mm, self._length_mm = _sizes_mm(volume)
        self._histogram = np.zeros(_HIGHEST_HU - _LOWEST_HU + 1, np.int64)
        self._range_hu = (math.inf, -math.inf)
        self._bodies_cm2: list[float] = []
        self._chest_slices = 0

    def add(self, values: AxialSlice | NDArray[np.generic]) -> None:
        """Look at one slice; the order of the slices does not matter.

        Args:
            values: A slice of the volume as it was handed out, or as [H, W] array: of floats in HU
                (what `Volume.write_hu` wrote), of integers as stored.

        Raises:
            InputUnsuitable: A voxel is not finite, or too large for float32.
        """
        stored = values.stored if isinstance(values, AxialSlice) else values
        self._require_finite(stored)
        sample = stored[:: self._step, :: self._step].astype(np.float32)
        if isinstance(values, AxialSlice) or stored.dtype.kind != "f":
            sample *= np.float32(self._header.slope)
            sample += np.float32(self._header.intercept)
        lowest, highest = self._range_hu
        self._range_hu = min(lowest, float(sample.min())), max(highest, float(sample.max()))
        self._count(sample)

    def verify(self) -> ScanQuality:
        """Judge what was added.

        Raises:
            InputUnsuitable: It is not a head CT in HU; the message has the measured values.
            ValueError: No slice was added.
        """
        if not self._bodies_cm2:
            raise ValueError("no slice was added to the scan check")
        quality = self._measure()
        for judge in (_require_hu, _require_bone, _require_soft_tissue, _require_head):
            judge(quality, path=self._path)
        return quality

    def _require_finite(self, stored: NDArray[np.generic]) -> None:
        """Look at all voxels, not only at the samples; integers need no look.

        What is beyond float32 once it is scaled would be infinite for the network.
        """
        if self._header.dtype.kind != "f":
            return
        largest = (_FLOAT32_MAX - abs(self._header.intercept)) / abs(self._header.slope)
        lowest, highest = float(stored.min()), float(stored.max())  # NaN if there is one
        if not (lowest >= -largest and highest <= largest):
            raise InputUnsuitable(
                "the scan holds voxels that are not finite numbers in float32",
                case=3,
                path=self._path,
                hint=_SCAN_HINT,
            )

    def _count(self, sample: NDArray[np.float32]) -> None:
        """Add a slice's samples to the histogram, and tell what its cross-section is like."""
        bins = (np.clip(sample, _LOWEST_HU, _HIGHEST_HU) - _LOWEST_HU).astype(np.intp)
        counts = np.bincount(bins.ravel(), minlength=len(self._histogram))
        self._histogram += counts
        body_cm2 = _body(counts) * self._sample_cm2
        self._bodies_cm2.append(body_cm2)
        if body_cm2 >= EMPTY_SLICE_CM2 and self._is_chest(sample, body_cm2, counts=counts):
            self._chest_slices += 1

    def _is_chest(
        self, sample: NDArray[np.float32], body_cm2: float, *, counts: NDArray[np.int64]
    ) -> bool:
        """Tell a slice with much lung or too large a cross-section from one of a head."""
        if body_cm2 > MAX_CROSS_SECTION_CM2:
            return True
        lung_limit_cm2 = body_cm2 * MAX_LUNG_SHARE / (1.0 - MAX_LUNG_SHARE)
        if _between(counts, *LUNG_HU) * self._sample_cm2 <= lung_limit_cm2:
            return False
        return _inner_lung(sample) * self._sample_cm2 > lung_limit_cm2

    def _measure(self) -> ScanQuality:
        counts = self._histogram
        body = max(1, _body(counts))
        filled_in = _between(counts, 0, 1) + int(counts[0])
        soft_tissue = _between(counts, *SOFT_TISSUE_HU)
        bodies = np.array(self._bodies_cm2)
        slices_with_body = max(1, int((bodies >= EMPTY_SLICE_CM2).sum()))
        return ScanQuality(
            field_of_view_mm=self._field_of_view_mm,
            length_mm=self._length_mm,
            range_hu=self._range_hu,
            air_share=_between(counts, *AIR_HU) / max(1, int(counts.sum()) - filled_in),
            bone_share=_between(counts, BONE_HU, _HIGHEST_HU + 1) / body,
            soft_tissue_share=soft_tissue / body,
            soft_tissue_hu=_median_hu(counts, *SOFT_TISSUE_HU),
            cross_section_cm2=float(bodies.max()),
            chest_share=self._chest_slices / slices_with_body,
        )


def raster_step(height: int, width: int) -> int:
    """Return how many voxels apart the samples of a slice are."""
    return math.ceil(max(height, width) / _RASTER)


def require_head_size(volume: Scan) -> None:
    """Check the size of a scan, whatever its values mean.

    Raises:
        InputUnsuitable: The field of view or the length is not that of a head scan.
    """
    field_of_view_mm, length_mm = _sizes_mm(volume)
    if min(field_of_view_mm) < FIELD_OF_VIEW_MM[0] or max(field_of_view_mm) > FIELD_OF_VIEW_MM[1]:
        raise InputUnsuitable(
            f"the field of view is {field_of_view_mm[0]:.0f} x {field_of_view_mm[1]:.0f} mm, "
            f"a head scan has {FIELD_OF_VIEW_MM[0]:.0f} to {FIELD_OF_VIEW_MM[1]:.0f} mm",
            case=1,
            path=volume.path,
            hint=_SCAN_HINT,
        )
    if not LENGTH_MM[0] <= length_mm <= LENGTH_MM[1]:
        raise InputUnsuitable(
            f"the scan is {length_mm:.0f} mm long, a head scan has "
            f"{LENGTH_MM[0]:.0f} to {LENGTH_MM[1]:.0f} mm",
            case=2,
            path=volume.path,
            hint=_SCAN_HINT,
        )


def _sizes_mm(volume: Scan) -> tuple[tuple[float, float], float]:
    """Return the field of view along columns and rows, and the length along the body."""
    depth, height, width = volume.shape
    x_mm, y_mm, z_mm = volume.spacing_mm
    return (width * x_mm, height * y_mm), depth * z_mm


def _between(counts: NDArray[np.int64], low: int, high: int) -> int:
    """Count the samples of low <= HU < high."""
    return int(counts[low - _LOWEST_HU : high - _LOWEST_HU].sum())


def _body(counts: NDArray[np.int64]) -> int:
    """Count the samples that belong to the body, without what was filled in."""
    return _between(counts, BODY_HU, _HIGHEST_HU + 1) - _between(counts, 0, 1)


def _inner_lung(sample: NDArray[np.float32]) -> int:
    """Count the samples as thin as lung that have body on all four sides; foam has not.

    Where the lung runs out of the field of view, as in a heart scan, the border stands for body.
    """
    lung = (sample >= LUNG_HU[0]) & (sample < LUNG_HU[1])
    wall = sample >= BODY_HU
    wall[[0, -1]] |= lung[[0, -1]]
    wall[:, [0, -1]] |= lung[:, [0, -1]]
    so_far = np.logical_or.accumulate
    from_front, from_back = so_far(wall, axis=0), so_far(wall[::-1], axis=0)[::-1]
    from_right, from_left = so_far(wall, axis=1), so_far(wall[:, ::-1], axis=1)[:, ::-1]
    return int((lung & from_front & from_back & from_right & from_left).sum())


def _median_hu(counts: NDArray[np.int64], low: int, high: int) -> float:
    """Median of the samples of low <= HU < high, to 1 HU; NaN where there are none."""
    cumulated = np.cumsum(counts[low - _LOWEST_HU : high - _LOWEST_HU])
    if cumulated[-1] == 0:
        return math.nan
    return float(low + np.searchsorted(cumulated, cumulated[-1] / 2))


def _require_hu(quality: ScanQuality, *, path: Path) -> None:
    lowest, highest = quality.range_hu
    if lowest == highest:
        raise InputUnsuitable(
            f"all voxels are {lowest:g}", case=4, path=path, hint="the export went wrong; repeat it"
        )
    if quality.air_share < MIN_AIR_SHARE:
        raise InputUnsuitable(
            f"the values {lowest:g} to {highest:g} are not HU: {quality.air_share:.1%} of them are "
            f"air (near -1000 HU), at least {MIN_AIR_SHARE:.0%} must be",
            case=5,
            path=path,
            hint=_why_not_hu(lowest, highest),
        )


def _why_not_hu(lowest: float, highest: float) -> str:
    """Guess from the range what was done to the values."""
    if lowest >= -1.5 and highest <= 1.5:
        return "the scan looks normalised to 0..1; export the HU"
    if lowest >= 0 and highest <= 255:
        return "the scan looks windowed to 0..255; export the HU"
    if lowest > -_CT_OFFSET / 2 and highest > _CT_OFFSET:
        return f"the scan looks like CT values offset by {_CT_OFFSET}; subtract {_CT_OFFSET}"
    if highest - lowest <= _NARROW_RANGE_HU:
        return "the scan looks windowed; export the HU"
    return _SCAN_HINT


def _require_bone(quality: ScanQuality, *, path: Path) -> None:
    if not BONE_SHARE[0] <= quality.bone_share <= BONE_SHARE[1]:
        raise InputUnsuitable(
            f"{quality.bone_share:.1%} of the body is bone (above {BONE_HU} HU, the highest value "
            f"is {quality.range_hu[1]:g}), a head has {BONE_SHARE[0]:.0%} to {BONE_SHARE[1]:.0%}",
            case=6,
            path=path,
            hint=_SCAN_HINT,
        )


def _require_soft_tissue(quality: ScanQuality, *, path: Path) -> None:
    if quality.soft_tissue_share < MIN_SOFT_TISSUE_SHARE:
        raise InputUnsuitable(
            f"{quality.soft_tissue_share:.1%} of the body is soft tissue "
            f"({SOFT_TISSUE_HU[0]} to {SOFT_TISSUE_HU[1]} HU), a head has at least "
            f"{MIN_SOFT_TISSUE_SHARE:.0%}",
            case=7,
            path=path,
            hint=_SCAN_HINT,
        )


def _require_head(quality: ScanQuality, *, path: Path) -> None:
    if quality.cross_section_cm2 < MIN_CROSS_SECTION_CM2:
        raise InputUnsuitable(
            f"the largest slice through the body has {quality.cross_section_cm2:.0f} cm2, a head "
            f"has at least {MIN_CROSS_SECTION_CM2:.0f}",
            case=8,
            path=path,
            hint=_SCAN_HINT,
        )
    if quality.chest_share > MAX_CHEST_SHARE:
        raise InputUnsuitable(
            f"{quality.chest_share:.0%} of the slices look like a chest or a belly (more than "
            f"{MAX_LUNG_SHARE:.0%} lung, or larger than {MAX_CROSS_SECTION_CM2:.0f} cm2; the "
            f"largest has {quality.cross_section_cm2:.0f}), {MAX_CHEST_SHARE:.0%} are allowed",
            case=9,
            path=path,
            hint=_SCAN_HINT,
        )
