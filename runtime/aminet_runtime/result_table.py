# SPDX-License-Identifier: Apache-2.0
"""A result as text for a terminal, and the table that closes a run of several patients.

Affected regions stand on top, the most probable first. Widths follow from the content and not from
the terminal, so the text is the same everywhere.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aminet_runtime.batch import PatientOutcome
from aminet_runtime.decision import RegionFinding
from aminet_runtime.errors import AminetError, printable
from aminet_runtime.finding_text import (
    counted,
    finding_word,
    flagged_first,
    rounded_down,
    slice_runs,
)
from aminet_runtime.result import PatientResult
from aminet_runtime.text_table import align, cut

TEXT_WIDTH = 96
MAX_NAME_WIDTH = 40

_COLUMNS = ("", "region", "finding", "probability", "threshold", "slices (peak)")
_RIGHT_ALIGNED = frozenset({0, 3, 4})


def format_result(result: PatientResult) -> str:
    """Return the text of one patient, ending in a line break."""
    return "\n".join(
        (
            *_headline(result),
            "",
            *align([_COLUMNS, *map(_row, flagged_first(result.regions))], right=_RIGHT_ALIGNED),
            "",
            *_closing(result),
            "",
        )
    )


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """What is kept of a patient for the table that closes a run: little, however long the run.

    Attributes:
        patient: The patient's name.
        outcome: How it ended, on one line.
        is_error: There is no result.
        is_flagged: Regions are flagged.
        is_earlier: The result is that of an earlier run.
    """

    patient: str
    outcome: str
    is_error: bool = False
    is_flagged: bool = False
    is_earlier: bool = False


def overview_row(outcome: PatientOutcome) -> OverviewRow:
    """Put the ending of a patient on one line."""
    ending = outcome.ending
    if isinstance(ending, AminetError):
        return OverviewRow(outcome.patient, f"error[{ending.code}]: {ending}", is_error=True)
    if isinstance(ending, PatientResult):
        flagged = [finding.name for finding in ending.affected]
        warnings, remarks = len(ending.warnings), []
    else:
        flagged = list(ending.flagged)
        warnings, remarks = ending.warning_count, ["done before"]
    if warnings:
        remarks.insert(0, counted(warnings, "warning"))
    names = ", ".join(map(printable, flagged)) or "none"
    return OverviewRow(
        outcome.patient,
        "; ".join((f"flagged: {names}", *remarks)),
        is_flagged=bool(flagged),
        is_earlier=not isinstance(ending, PatientResult),
    )


def format_overview(rows: Sequence[OverviewRow]) -> str:
    """Return the table that closes a run of several patients, ending in a line break."""
    lines = [("patient", "outcome"), *((row.patient, row.outcome) for row in rows)]
    return "\n".join((*align(lines), _tally(rows), ""))


def _tally(rows: Sequence[OverviewRow]) -> str:
    errors = sum(row.is_error for row in rows)
    flagged = sum(row.is_flagged for row in rows)
    earlier = sum(row.is_earlier for row in rows)
    parts = [f"{flagged} with flagged regions", f"{len(rows) - errors - flagged} without"]
    parts += [counted(errors, "error")] if errors else []
    parts += [f"{earlier} done before"] if earlier else []
    return f"{counted(len(rows), 'patient')}: {', '.join(parts)}."


def _headline(result: PatientResult) -> Iterator[str]:
    x, y, z = result.input.shape
    spacing = " x ".join(f"{mm:.3g}" for mm in result.input.spacing_mm)
    model = result.model
    yield f"Patient {result.patient}: {counted(len(result.affected), 'region')} flagged"
    yield f"{x} x {y} x {z} voxels of {spacing} mm, {', '.join(result.input.files)}"
    yield f"{model.bundle} ({model.short_id}), {model.engine}"


def _row(finding: RegionFinding) -> tuple[str, ...]:
    name = cut(printable(finding.name), MAX_NAME_WIDTH)
    return (
        str(finding.index),
        name,
        finding_word(finding),
        rounded_down(finding.probability),
        rounded_down(finding.threshold),
        f"{slice_runs(finding.slices)} ({finding.peak_slice})" if finding.slices else "",
    )


def _closing(result: PatientResult) -> Iterator[str]:
    kinds = [finding.affected for finding in result.regions]
    yield (
        f"{len(kinds)} regions: {kinds.count(True)} flagged, {kinds.count(False)} not flagged, "
        f"{kinds.count(None)} not assessed. Slices count from 0, the lowest."
    )
    memory = "" if result.peak_rss_mib is None else f", {result.peak_rss_mib:.0f} MiB"
    seconds = result.timings_ms.total / 1000.0
    yield f"{seconds:.2f} s{memory}, {counted(result.threads, 'thread')}."
    for warning in result.warnings:
        yield from _wrapped(f"warning[{warning.code}]: {warning.message}")
    yield from _wrapped(printable(result.disclaimer))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH)
