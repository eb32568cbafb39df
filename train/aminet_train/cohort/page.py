# SPDX-License-Identifier: Apache-2.0
"""The report on a cohort as one HTML page that needs no other file and no network."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from aminet_train.cohort.splits import Split

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; color: #222 }
h1, h2 { font-weight: 600 } h2 { margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #ddd }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.bar { background: #2a6f97; height: .8rem; display: inline-block }
.remark { background: #fff3cd; padding: .3rem .6rem; margin: .2rem 0 }
.refused td { color: #8b1a1a }
"""


def cohort_page(report: dict[str, Any]) -> str:
    """Return the page of what `aminet_train.cohort.report.cohort_report` found."""
    parts = [
        "<h1>Cohort report</h1>",
        f"<p>{_summary(report)}</p>",
        *(f'<p class="remark">{escape(remark)}</p>' for remark in report["remarks"]),
        "<h2>Refused patients</h2>",
        _refused(report["refused"]),
        "<h2>Regions</h2>",
        _regions(report),
        "<h2>Splits</h2>",
        _splits(report["splits"]),
        "<h2>Scans</h2>",
        _scans(report),
        "<h2>Patients</h2>",
        _patients(report["used"]),
        "<p>Not a medical device.</p>",
    ]
    head = f'<meta charset="utf-8"><title>Cohort report</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _summary(report: dict[str, Any]) -> str:
    patients, slices = report["patients"], report["slices"]
    return (
        f"{patients['used']} patients used, {patients['refused']} refused; "
        f"{slices['with_clot']} of {slices['count']} slices hold clot "
        f"({slices['positive_pairs']} slice-region pairs), {slices['stored']} slices are stored. "
        f"Channels: {escape(', '.join(report['preprocessing']['channels']))}."
    )


def _refused(refused: Sequence[dict[str, Any]]) -> str:
    if not refused:
        return "<p>None.</p>"
    rows = [[r["patient_id"], r["file"], r["message"], r["hint"], r["code"]] for r in refused]
    table = _table(["patient", "file", "what is wrong", "what to do", "code"], rows)
    return table.replace("<table>", '<table class="refused">')


def _regions(report: dict[str, Any]) -> str:
    rows = [
        [str(r["index"]), r["name"], r["patients"], _Bar(r["share"]), r["slices"]]
        for r in report["regions"]
    ]
    return _table(["", "region", "patients", "share of patients", "slices"], rows)


def _splits(splits: dict[str, Any]) -> str:
    rows = [
        [
            split.value,
            splits[split]["patients"],
            splits[split]["slices"],
            splits[split]["with_clot"],
            " ".join(map(str, splits[split]["patients_by_region"])),
        ]
        for split in Split
    ]
    note = f" <b>{escape(splits['note'])}</b>" if splits["note"] else ""
    heading = f"<p>By {splits['by']}, seed {splits['seed']}.{note}</p>"
    columns = ["split", "patients", "slices", "with clot", "patients by region 0 to 14"]
    return heading + _table(columns, rows)


def _scans(report: dict[str, Any]) -> str:
    scans, phase = report["scans"], report["first_phase"]
    spans = [
        ("HU", scans["range_hu"]),
        *(
            (f"spacing {axis}, mm", span)
            for axis, span in zip("xyz", scans["spacing_mm"], strict=True)
        ),
        *((f"voxels {axis}", span) for axis, span in zip("xyz", scans["shape"], strict=True)),
    ]
    rows = [
        [name, *(f"{span[key]:g}" for key in ("lowest", "median", "highest"))]
        for name, span in spans
        if span is not None
    ]
    notes = (
        f"<p>SPIRAL maps: {report['spiral']['patients']} patients. Phase 1 on the grid of the "
        f"atlas, and so usable: {phase['usable']}; on another grid {len(phase['other grid'])}, "
        f"unreadable {len(phase['unreadable'])}, absent {len(phase['absent'])}.</p>"
    )
    return _table(["", "lowest", "median", "highest"], rows) + notes


def _patients(used: Sequence[dict[str, Any]]) -> str:
    columns = ["patient", "split", "regions", "slices", "with clot", "spacing mm", "phase 1"]
    rows = [
        [
            row["patient"],
            ", ".join(row["splits"]),
            " ".join(map(str, row["regions"])),
            row["slices"],
            row["with_clot"],
            " x ".join(f"{value:g}" for value in row["spacing_mm"]),
            row["first_phase"] or "",
        ]
        for row in used
    ]
    return _table(columns, rows)


class _Bar(float):
    """A share 0..1 that is drawn."""


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _cell(value: object) -> str:
    if isinstance(value, _Bar):
        return f'<td><span class="bar" style="width:{10 * value:.2f}rem"></span> {value:.0%}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value}</td>'
    return f"<td>{escape(str(value))}</td>"
