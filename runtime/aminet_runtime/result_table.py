# SPDX-License-Identifier: Apache-2.0
"""A result as text for a terminal, and the table that closes a run of several patients.

Affected regions stand on top, the most probable first. The wording is "flagged", "not flagged" and
"not assessed": a region that is not flagged has not been shown to be free of a clot. Widths follow
from the content and not from the terminal, so the text is the same everywhere.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence

from aminet_runtime.batch import PatientOutcome
from aminet_runtime.decision import RegionFinding
from aminet_runtime.errors import AminetError, printable
from aminet_runtime.result import PatientResult
from aminet_runtime.text_table import align, cut

TEXT_WIDTH = 96
MAX_NAME_WIDTH = 40
MAX_RUNS_SHOWN = 3
MODEL_ID_DIGITS = 12

_COLUMNS = ("", "region", "finding", "probability", "threshold", "slices (peak)")
_RIGHT_ALIGNED = frozenset({0, 3, 4})


def format_result(result: PatientResult) -> str:
    """Return the text of one patient, ending in a line break."""
    return "\n".join(
        (
            *_headline(result),
            "",
            *align([_COLUMNS, *map(_row, _sorted(result.regions))], right=_RIGHT_ALIGNED),
            "",
            *_closing(result),
            "",
        )
    )


def format_overview(rows: Sequence[tuple[str, str]]) -> str:
    """Return the table that closes a run of several patients, ending in a line break.

    Args:
        rows: What `overview_row` returned for each.
    """
    return "\n".join((*align([("patient", "outcome"), *rows]), ""))


def overview_row(outcome: PatientOutcome) -> tuple[str, str]:
    """Return patient and outcome, each on one line."""
    if isinstance(outcome.ending, AminetError):
        return outcome.patient, f"error[{outcome.ending.code}]: {outcome.ending}"
    flagged = ", ".join(printable(finding.name) for finding in outcome.ending.affected)
    warnings = outcome.ending.warnings
    remark = f"; {_count(warnings, 'warning')}" if warnings else ""
    return outcome.patient, f"flagged: {flagged or 'none'}{remark}"


def _headline(result: PatientResult) -> Iterator[str]:
    x, y, z = result.input.shape
    spacing = " x ".join(f"{mm:.3g}" for mm in result.input.spacing_mm)
    model = result.model
    yield f"Patient {result.patient}: {_count(result.affected, 'region')} flagged"
    yield f"{x} x {y} x {z} voxels of {spacing} mm, {', '.join(result.input.files)}"
    yield f"{model.bundle} ({model.id[:MODEL_ID_DIGITS]}), {model.engine}"


def _sorted(findings: Sequence[RegionFinding]) -> list[RegionFinding]:
    """Order by flagged, not assessed, not flagged; within these by probability, then by index."""
    rank = {True: 0, None: 1, False: 2}
    return sorted(
        findings,
        key=lambda finding: (rank[finding.affected], -(finding.probability or 0.0), finding.index),
    )


def _row(finding: RegionFinding) -> tuple[str, ...]:
    name = cut(printable(finding.name), MAX_NAME_WIDTH)
    if finding.probability is None or finding.threshold is None:
        return str(finding.index), name, "not assessed", "-", "-", ""
    return (
        str(finding.index),
        name,
        "FLAGGED" if finding.affected else "not flagged",
        _rounded_down(finding.probability),
        _rounded_down(finding.threshold),
        _slices(finding),
    )


def _rounded_down(probability: float) -> str:
    """Show three digits; rounded down, so that 0.4999 does not look like the 0.5 it misses."""
    thousandths = math.floor(probability * 1000 + 1e-6)  # 0.29 * 1000 is 289.99999999999994
    return f"{thousandths / 1000:.3f}"


def _slices(finding: RegionFinding) -> str:
    """Write runs of slices: `3-7, 12 (5)`; long lists are cut."""
    if not finding.slices:
        return ""
    runs: list[list[int]] = []
    for index in finding.slices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1][1:] = [index]
        else:
            runs.append([index])
    shown = ["-".join(str(end) for end in run) for run in runs[:MAX_RUNS_SHOWN]]
    more = ", ..." if len(runs) > MAX_RUNS_SHOWN else ""
    return f"{', '.join(shown)}{more} ({finding.peak_slice})"


def _closing(result: PatientResult) -> Iterator[str]:
    kinds = [finding.affected for finding in result.regions]
    yield (
        f"{len(kinds)} regions: {kinds.count(True)} flagged, {kinds.count(False)} not flagged, "
        f"{kinds.count(None)} not assessed. Slices count from 0, the lowest."
    )
    memory = "" if result.peak_rss_mib is None else f", {result.peak_rss_mib:.0f} MiB"
    seconds = result.timings_ms.total / 1000.0
    yield f"{seconds:.2f} s{memory}, {result.threads} thread{'s' * (result.threads != 1)}."
    for warning in result.warnings:
        yield from _wrapped(f"warning[{warning.code}]: {warning.message}")
    yield from _wrapped(printable(result.disclaimer))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH)


def _count(items: Sequence[object], noun: str) -> str:
    return f"{len(items)} {noun}{'s' * (len(items) != 1)}"
