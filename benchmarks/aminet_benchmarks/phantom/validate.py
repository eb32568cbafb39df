# SPDX-License-Identifier: Apache-2.0
"""Is the phantom credible: its figures beside real ones, and bounds that it must keep.

The real figures were read off 41 traced trees (Wright et al., NeuroImage 2013;82:170-181) and
taken from the literature that docs/phantom.md names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aminet_benchmarks.phantom.anatomy import Anatomy, grow_anatomy
from aminet_benchmarks.phantom.clot_figures import clot_figures
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.figures import (
    Values,
    image_figures,
    spiral_figures,
    stroke_figures,
    twin_figures,
    vessel_figures,
)
from aminet_benchmarks.phantom.patient import PhantomPatient, make_patient
from aminet_runtime.errors import GateFailed

SEED = 900_000  # of the first patient that is measured
IMAGE_SHARE = 10  # one in so many patients is rendered


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of a real figure, and what is let pass.

    Attributes:
        real: The real figure, in words.
        low: Lowest value that passes.
        high: Highest value that passes.
    """

    real: str
    low: float
    high: float


BOUNDS = {
    "arterial centreline, m": Bound("7.7 (5.2..9.4)", 5.2, 9.4),
    "radius, median of the length, mm": Bound("0.47 (0.47..0.62)", 0.40, 0.62),
    "radius, 90 % of the length below, mm": Bound("0.78 (0.62..1.03)", 0.62, 1.03),
    "length in the MCA territory, %": Bound("53 (46..59)", 42, 62),
    "length in the ACA territory, %": Bound("26 (20..33)", 18, 34),
    "length in the PCA territory, %": Bound("15 (7..19)", 7, 22),
    "regions with clot a patient": Bound("2.9", 2.3, 3.5),
    "slice x region positives, %": Bound("1.1", 0.8, 1.5),
    "rarest region against commonest": Bound("balanced on purpose", 0.25, 1.0),
    "patients without clot, %": Bound("about 10", 3, 20),
    "clots in medium vessels, %": Bound("25..40", 22, 43),
    "clot volume, large vessels, median, mm3": Bound("108..174, thrombectomies", 80, 250),
    "clot length, 10 % below, mm": Bound("6..30", 6, 30),
    "clot length, median, mm": Bound("6..30", 6, 30),
    "clot length, 90 % below, mm": Bound("6..30", 6, 30),
    "grey matter, HU": Bound("35..39, and up to 15 more with contrast", 35, 54),
    "white matter, HU": Bound("26..30, and up to 8 more with contrast", 26, 38),
    "CSF, HU": Bound("5..12", 3, 14),
    "bone, HU": Bound("800..1500", 800, 1500),
    "diploe, HU": Bound("300..800", 300, 800),
    "air, HU": Bound("-1000", -1020, -980),
    "arteries, phase 1, HU": Bound("250..462", 250, 470),
    "arteries, phase 2, HU": Bound("about half", 120, 280),
    "arteries, phase 3, HU": Bound("about a quarter", 70, 200),
    "sinuses, phase 1, HU": Bound("little yet", 40, 120),
    "sinuses, phase 2, HU": Bound("2/3 of the arterial peak", 160, 320),
    "sinuses, phase 3, HU": Bound("falling", 110, 300),
    "noise SD, HU": Bound("6..15", 5, 16),
    "noise, neighbour correlation": Bound("0.60..0.75", 0.50, 0.75),
    "change in the clot, phase 1, HU": Bound("median 231 in an earlier study", 150, 400),
    "change in the clot, phase 2, HU": Bound("median 102", 60, 200),
    "change in the clot, phase 3, HU": Bound("median 41", 20, 120),
    # the source report's sweep, let pass within .12
    "SPIRAL > 0, precision": Bound("0.16", 0.04, 0.28),
    "SPIRAL > 0, recall": Bound("0.71", 0.59, 0.83),
    "SPIRAL > 0.9, precision": Bound("0.33", 0.21, 0.45),
    "SPIRAL > 0.9, recall": Bound("0.36", 0.24, 0.48),
    "SPIRAL > 0.95, precision": Bound("0.54", 0.42, 0.66),
    "SPIRAL > 0.95, recall": Bound("0.15", 0.03, 0.27),
}

AnatomySource = Callable[[int, PhantomConfig], Anatomy]
Progress = Callable[[int, int], None]


def measure(
    patients: int,
    config: PhantomConfig,
    *,
    anatomy_of: AnatomySource = grow_anatomy,
    on_progress: Progress | None = None,
) -> Values:
    """Measure new patients of a configuration.

    Args:
        patients: How many; about one in ten is also rendered, with its clot-free twin.
        config: What they are drawn from.
        anatomy_of: Where the head of a seed comes from.
        on_progress: Called with (patients done, all patients).
    """
    drawn = []
    for seed in range(SEED, SEED + patients):
        drawn.append(make_patient(seed, config, anatomy=anatomy_of(seed, config)))
        if on_progress is not None:
            on_progress(len(drawn), patients)
    rendered = drawn[: max(2, patients // IMAGE_SHARE)]
    pairs = [(one, _without_clots(one)) for one in rendered]
    return {
        **vessel_figures(drawn),
        **stroke_figures(drawn),
        **clot_figures(drawn),
        **image_figures(rendered),
        **twin_figures(pairs),
        **spiral_figures(drawn),
    }


def _without_clots(patient: PhantomPatient) -> PhantomPatient:
    return make_patient(patient.seed, patient.config, twin="none", anatomy=patient.anatomy)


def table(columns: Mapping[str, Values]) -> str:
    """Return figures beside the real ones, one a line.

    Args:
        columns: Figures under the name of what they were measured on.
    """
    heads = "  ".join(f"{head:>9s}" for head in columns)
    lines = [f"{'figure':40s} {heads}  {'passes':>15s}  real"]
    names = dict.fromkeys(name for figures in columns.values() for name in figures)
    lines += [_line(name, [figures.get(name) for figures in columns.values()]) for name in names]
    return "\n".join(lines) + "\n"


def _line(name: str, values: Sequence[float | None]) -> str:
    bound = BOUNDS.get(name)
    cells = "  ".join(f"{'':9s}" if value is None else f"{value:9.2f}" for value in values)
    if bound is None:
        return f"{name:40s} {cells}"
    passes = all(value is not None and bound.low <= value <= bound.high for value in values)
    limits = f"{bound.low:g}..{bound.high:g}"
    return f"{name:40s} {cells}  {limits:>15s}  {bound.real}{'' if passes else '  <-- outside'}"


def require_credible(figures: Values) -> None:
    """Fail if a figure is missing or out of its bounds.

    Raises:
        GateFailed: Some figures are outside.
    """
    outside = [
        name
        for name, bound in BOUNDS.items()
        if not bound.low <= figures.get(name, float("nan")) <= bound.high
    ]
    if outside:
        raise GateFailed(
            f"{len(outside)} figures of the phantom are outside of their bounds: "
            + "; ".join(outside),
            case=9,
            hint="the table says which; a change of the phantom made it less credible",
        )
