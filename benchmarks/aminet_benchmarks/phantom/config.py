# SPDX-License-Identifier: Apache-2.0
"""Every knob of the phantom in one value, and the two presets."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from aminet_runtime.errors import UsageError

Preset = Literal["report", "hard"]
StoredAxes = Literal["LPS", "LAS", "RAS", "RPS"]
Range = tuple[float, float]

MIN_SHAPE = (32, 32, 8)
MAX_SHAPE = (1024, 1024, 1024)


@dataclass(frozen=True, slots=True)
class PhantomConfig:
    """What a cohort of phantoms is drawn from; one patient is drawn by `make_patient`.

    A `Range` is (low, high) of a uniform distribution unless said otherwise.

    Attributes:
        matrix: Columns and rows of a slice.
        slice_count: Fewest and most slices, each number as likely.
        preset: Name of the preset that the other values come from.
        stored_axes: Directions in which the stored i, j, k run; canonical is LPS.
        pixel_mm: In-plane spacing at 512 columns; other widths keep the field of view.
        coverage_mm: Height of the scanned slab.
        top_margin_mm: Air above the vertex.
        head_scale: Size of the head against the MNI template.
        head_aspect_sd: Relative SD of each axis on top of `head_scale`.
        rotation_sd_deg: SD of the rotation about each axis.
        shift_sd_mm: SD of the in-plane position of the head.
        age: Years; widens ventricles and sulci.
        warp_mm: Amplitude of the smooth warp of the arteries' course.
        tortuosity: Scale of the winding of the arteries; 1 is usual.
        atlas_warp_mm: Amplitude of the atlas's registration error.
        variant_rate: Scale of the frequency of circle-of-Willis variants; 1 is as published.
        artery_peak_hu: Enhancement of the carotid at the bolus peak.
        bolus_width_s: Scale (beta) of the gamma-variate bolus.
        timing_error_s: Phase 1 against the arterial peak, low to high.
        phase_delay_s: Phases 2 and 3 after phase 1.
        collateral_weights: Relative frequency of collateral grades 0..5.
        clot_count_weights: Relative frequency of 0, 1, 2, 3 clots.
        clot_length_mm: Length of a clot along its main vessel.
        clot_hu: HU of the thrombus before contrast.
        perviousness: Share of the blood's enhancement that enters the thrombus.
        noise_sd_hu: Noise in the brain.
        misregistration_mm: SD of the in-plane shift of phases 2 and 3.
        unevenness: Scale of what fills tissue unevenly without a clot; 1 is as fitted.
        old_infarct_rate: Share of patients with an old infarct.
        calcification_rate: Mean number of calcified plaques a carotid siphon.
        metal_rate: Share of patients with dental or clip metal.
    """

    matrix: tuple[int, int] = (512, 512)
    slice_count: tuple[int, int] = (257, 257)
    preset: Preset = "report"
    stored_axes: StoredAxes = "LPS"
    pixel_mm: Range = (0.42, 0.52)
    coverage_mm: Range = (152.0, 166.0)
    top_margin_mm: Range = (3.0, 9.0)
    head_scale: Range = (0.90, 0.97)
    head_aspect_sd: float = 0.015
    rotation_sd_deg: float = 3.0
    shift_sd_mm: float = 3.0
    age: Range = (45.0, 85.0)
    warp_mm: float = 2.0
    tortuosity: float = 0.9
    atlas_warp_mm: float = 2.0
    variant_rate: float = 0.7
    artery_peak_hu: Range = (330.0, 430.0)
    bolus_width_s: Range = (2.1, 2.6)
    timing_error_s: Range = (-0.5, 1.0)
    phase_delay_s: tuple[float, float] = (8.0, 16.0)
    collateral_weights: tuple[float, ...] = (0.22, 0.30, 0.26, 0.15, 0.05, 0.02)
    clot_count_weights: tuple[float, ...] = (0.10, 0.40, 0.32, 0.18)
    clot_length_mm: Range = (15.0, 30.0)
    clot_hu: Range = (55.0, 80.0)
    perviousness: Range = (0.0, 0.05)
    noise_sd_hu: Range = (6.0, 10.0)
    misregistration_mm: float = 0.15
    unevenness: float = 1.0
    old_infarct_rate: float = 0.15
    calcification_rate: float = 0.0
    metal_rate: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        for slices in self.slice_count:
            _check_shape((*self.matrix, slices))
        _check_weights("collateral_weights", self.collateral_weights, 6)
        _check_ranges(self)
        _check_weights("clot_count_weights", self.clot_count_weights, 4)


HARD = {
    "slice_count": (200, 260),
    "pixel_mm": (0.39, 0.59),
    "coverage_mm": (140.0, 175.0),
    "top_margin_mm": (0.0, 14.0),
    "head_scale": (0.86, 1.0),
    "head_aspect_sd": 0.03,
    "rotation_sd_deg": 6.0,
    "shift_sd_mm": 6.0,
    "age": (25.0, 95.0),
    "warp_mm": 3.5,
    "tortuosity": 1.2,
    "atlas_warp_mm": 3.5,
    "variant_rate": 1.0,
    "artery_peak_hu": (220.0, 430.0),
    "bolus_width_s": (2.0, 3.4),
    "timing_error_s": (-2.0, 4.0),
    "collateral_weights": (0.08, 0.14, 0.22, 0.26, 0.20, 0.10),
    "clot_length_mm": (10.0, 30.0),
    "clot_hu": (45.0, 80.0),
    "perviousness": (0.0, 0.35),
    "noise_sd_hu": (7.0, 15.0),
    "misregistration_mm": 0.5,
    "old_infarct_rate": 0.3,
    "calcification_rate": 1.5,
    "metal_rate": 0.08,
}
PRESETS: dict[str, dict[str, object]] = {"report": {}, "hard": {"preset": "hard", **HARD}}


def preset_config(preset: str, *, shape: tuple[int, int, int] | None = None) -> PhantomConfig:
    """Return the configuration of a preset.

    Args:
        preset: `report` (clear contrast, moderate variety) or `hard` (frank physics).
        shape: Voxels (i, j, k) of every patient; by default 512 x 512 and as many slices as the
            preset says.

    Raises:
        UsageError: If there is no such preset or the shape cannot be made.
    """
    if preset not in PRESETS:
        raise UsageError(f"preset {preset!r} is unknown", hint="use report or hard")
    config = replace(PhantomConfig(), **PRESETS[preset])  # type: ignore[arg-type]
    if shape is None:
        return config
    _check_shape(shape)
    return replace(config, matrix=shape[:2], slice_count=(shape[2], shape[2]))


def _check_shape(shape: tuple[int, int, int]) -> None:
    fits = len(shape) == 3 and all(
        low <= n <= high for low, n, high in zip(MIN_SHAPE, shape, MAX_SHAPE, strict=True)
    )
    if not fits:
        raise UsageError(
            f"shape {shape} is outside of {MIN_SHAPE} to {MAX_SHAPE}",
            hint="give columns, rows and slices, for example 512 512 257",
        )


def _check_ranges(config: PhantomConfig) -> None:
    for knob in fields(config):
        value = getattr(config, knob.name)
        if (knob.type == Range or knob.name == "slice_count") and value[0] > value[1]:
            raise UsageError(f"{knob.name} {value} has its low end above its high end")


def _check_weights(name: str, weights: tuple[float, ...], count: int) -> None:
    if len(weights) != count or min(weights) < 0 or sum(weights) <= 0:
        raise UsageError(f"{name} must be {count} weights of at least 0, not {weights}")
