# SPDX-License-Identifier: Apache-2.0
"""The page of one patient: what was found, or why nothing can be said.

What matters in the first ten seconds stands on top: the flagged regions, their pictures, what was
not assessed. The figures behind it follow.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aminet_runtime.decision import RegionFinding
from aminet_runtime.errors import AminetError
from aminet_runtime.finding_text import (
    counted,
    finding_word,
    flagged_first,
    rounded_down,
    slice_runs,
)
from aminet_runtime.patient import Channel
from aminet_runtime.report.exhibits import Exhibit, Exhibits
from aminet_runtime.report.key_slices import CT_DISPLAY_HU
from aminet_runtime.report.markup import NOTHING, Html, element, join, tag
from aminet_runtime.report.pictures import draw
from aminet_runtime.report.strips import strip
from aminet_runtime.result import PatientResult
from aminet_runtime.version import VERSION

NOT_A_DEVICE = (
    "AMI-Net is not a medical device. A region that is not flagged may still hold a clot."
)

_CSS_FILE = Path(__file__).with_name("page.css")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Whatever a name holds, the page runs no script and loads nothing."""

_KINDS = {True: "flagged", False: "clear", None: "unknown"}
_SYMBOLS = {True: "\N{BLACK UP-POINTING TRIANGLE} ", False: "", None: "? "}


def result_page(result: PatientResult, exhibits: Exhibits) -> bytes:
    """Return the page of a patient with a result, as UTF-8."""
    return _document(
        result.patient,
        _top(result.patient, _made(result.created)),
        _verdict(result),
        _not_assessed(result),
        *(tag("p", f"! {w.code}: {w.message}", kind="note") for w in result.warnings),
        _pictures(result, exhibits),
        _table(result),
        _facts(result, exhibits),
        tag("footer", *_disclaimers(result.disclaimer)),
    )


def refusal_page(patient: str, error: AminetError, *, created: str) -> bytes:
    """Return the page of a patient without a result, as UTF-8.

    Args:
        patient: The patient's name, printable.
        error: What ended the run.
        created: When, in UTC.
    """
    hint = () if error.hint is None else (tag("p", f"What to do: {error.hint}."),)
    return _document(
        patient,
        _top(patient, f"refused {created}"),
        tag(
            "div",
            tag("strong", "No result: the scan was not assessed"),
            tag("p", f"{error.located_message}."),
            *hint,
            tag("p", f"Error {error.code}", kind="soft"),
            kind="verdict refused",
        ),
        tag(
            "p",
            "Nothing is said about any region. A result.json beside this is of an earlier run.",
        ),
        tag("footer", tag("p", NOT_A_DEVICE), tag("p", f"aminet-run {VERSION}", kind="soft")),
    )


def is_page_of_result(page: bytes, *, created: str) -> bool:
    """Tell the page of the result that was made then from a refusal and from another result's.

    Args:
        page: The content of a report.
        created: When the result was made, as it says itself.
    """
    return tag("span", _made(created), kind="soft").encode("utf-8", "surrogatepass") in page


def _made(created: str) -> str:
    return f"made {created}"


def _document(title: str, *content: Html) -> bytes:
    head = tag(
        "head",
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("title", f"AMI-Net: {title}"),
        tag("style", Html(_CSS_FILE.read_text(encoding="utf-8"))),
    )
    body = tag("body", *content)
    return f"<!DOCTYPE html>\n{element('html', {'lang': 'en'}, head, body)}\n".encode()


def _top(patient: str, made: str) -> Html:
    return tag(
        "div",
        tag("h1", f"AMI-Net: CTA of patient {patient}"),
        tag("span", made, kind="soft"),
        kind="top",
    )


def _verdict(result: PatientResult) -> Html:
    """Say what was found, in the largest letters of the page."""
    flagged = [finding for finding in flagged_first(result.regions) if finding.affected]
    if not flagged:
        return tag(
            "div",
            tag("strong", "No region flagged"),
            tag("p", "A region that is not flagged has not been shown to be free of a clot."),
            kind="verdict",
        )
    of_all = f"{len(flagged)} of {counted(len(result.regions), 'region')} flagged"
    return tag(
        "div",
        tag("strong", f"{_SYMBOLS[True]}{of_all}"),
        tag("ul", *(_line(finding) for finding in flagged)),
        kind="verdict flagged",
    )


def _line(finding: RegionFinding) -> Html:
    slices = f"slices {slice_runs(finding.slices)}"
    return tag("li", tag("b", finding.name), tag("span", _figures_of(finding)), tag("span", slices))


def _not_assessed(result: PatientResult) -> Html:
    names = [finding.name for finding in result.regions if finding.affected is None]
    if not names:
        return NOTHING
    return tag(
        "p", tag("b", f"{_SYMBOLS[None]}Not assessed: "), f"{', '.join(names)}.", kind="note"
    )


def _pictures(result: PatientResult, exhibits: Exhibits) -> Html:
    if not exhibits.shown:
        return NOTHING
    flagged = len(result.affected)
    title = (
        "Peak slices of the flagged regions"
        if flagged
        else "Nearest to their thresholds, not flagged"
    )
    hidden = max(0, flagged - len(exhibits.shown))
    more = f"{counted(hidden, 'more region')} flagged; the table below lists all." if hidden else ""
    remarks = [remark for remark in (exhibits.remark, more) if remark]
    return join(
        tag("h2", title),
        _legend(exhibits),
        *(tag("p", remark, kind="note") for remark in remarks),
        tag("div", *_figures(result, exhibits), kind="figures"),
    )


def _legend(exhibits: Exhibits) -> Html:
    items = []
    if any(exhibit.outline is not None for exhibit in exhibits.shown):
        items.append(tag("span", tag("i"), "solid: the region in the patient's atlas"))
    items.append(
        tag(
            "span",
            tag("i", kind="dashed"),
            "dashed: evidence, where the network looked (the upper half of its values)",
        )
    )
    return tag("div", *items, kind="legend soft")


def _figures(result: PatientResult, exhibits: Exhibits) -> Iterator[Html]:
    for number, exhibit in enumerate(exhibits.shown):
        pair = draw(exhibit, spacing_mm=result.input.spacing_mm, name=f"slice-{number}")
        yield tag(
            "figure",
            tag("figcaption", _title(exhibit)),
            tag("div", *pair, kind="pair"),
            tag("div", _caption(exhibit, exhibits.channel, result), kind="soft"),
        )


def _title(exhibit: Exhibit) -> str:
    finding = exhibit.finding
    word = f"{_SYMBOLS[finding.affected]}{finding.name}: {finding_word(finding)}"
    return f"{word}, {_figures_of(finding)}"


def _figures_of(finding: RegionFinding) -> str:
    """Never show a probability without the threshold that it is to be compared with."""
    return f"{rounded_down(finding.probability)} (threshold {rounded_down(finding.threshold)})"


def _caption(exhibit: Exhibit, channel: Channel, result: PatientResult) -> str:
    height_mm = exhibit.key_slice.index * result.input.spacing_mm[2]
    low, high = CT_DISPLAY_HU
    shown = (
        f"{channel.file_stem}, slice {exhibit.key_slice.index}, {height_mm:.0f} mm above the lowest"
    )
    missing = ""
    if exhibit.outline is not None and not exhibit.outline.any():
        missing = " The atlas has nothing of the region in this slice."
    if not channel.in_hu:
        return f"{shown}.{missing}"
    return f"{shown}. Window {high - low:.0f}, level {(low + high) / 2:.0f} HU.{missing}"


def _table(result: PatientResult) -> Html:
    heads = ("", "Region", "Finding")
    numbers = ("Probability", "Threshold")
    length_mm = result.input.shape[2] * result.input.spacing_mm[2]
    over_height = (
        f"Probability over height: lowest slice left, {length_mm:.0f} mm; bar: flagged slices"
    )
    head = tag(
        "tr",
        *(tag("th", name) for name in heads),
        *(tag("th", name, kind="number") for name in numbers),
        tag("th", "Slices (peak)"),
        tag("th", over_height),
    )
    rows = [_row(finding, result) for finding in flagged_first(result.regions)]
    return join(tag("h2", "All regions"), tag("table", tag("thead", head), tag("tbody", *rows)))


def _row(finding: RegionFinding, result: PatientResult) -> Html:
    slices = f"{slice_runs(finding.slices)} ({finding.peak_slice})" if finding.slices else ""
    return tag(
        "tr",
        tag("td", str(finding.index), kind="number"),
        tag("td", finding.name, kind="name"),
        tag("td", f"{_SYMBOLS[finding.affected]}{finding_word(finding)}", kind="finding"),
        _named_cell("probability", rounded_down(finding.probability), kind="number wide"),
        _named_cell("threshold", rounded_down(finding.threshold), kind="number wide"),
        _named_cell("slices", slices, kind="wide"),
        tag("td", strip(finding, result.scores[:, finding.index]), kind="over-height"),
        kind=_KINDS[finding.affected],
    )


def _named_cell(name: str, content: str, *, kind: str) -> Html:
    """Make a cell that bears its name where the table has no room for a head."""
    attributes = {"class": kind} | ({"data-name": name} if content else {})
    return element("td", attributes, content)


def _facts(result: PatientResult, exhibits: Exhibits) -> Html:
    rows = [row for name, value in _fact_pairs(result, exhibits) for row in _fact(name, value)]
    return join(tag("h2", "Scan, model and run"), tag("dl", *rows))


def _fact(name: str, value: str) -> tuple[Html, Html]:
    return tag("dt", name), tag("dd", value)


def _fact_pairs(result: PatientResult, exhibits: Exhibits) -> Iterator[tuple[str, str]]:
    x, y, z = result.input.shape
    spacing = " x ".join(f"{mm:.3g}" for mm in result.input.spacing_mm)
    length_mm = z * result.input.spacing_mm[2]
    model = result.model
    timings = result.timings_ms
    yield "Files", ", ".join(result.input.files)
    yield (
        "Grid",
        f"{x} x {y} x {z} voxels of {spacing} mm, {length_mm:.0f} mm from lowest to highest",
    )
    yield "Noise", _noise(exhibits.noise_hu)
    yield "Warnings", str(len(result.warnings)) if result.warnings else "none"
    yield (
        "Model",
        f"{model.bundle}: {model.approach}, {model.precision}, {model.short_id}",
    )
    yield "Engine", f"{model.engine}, {counted(result.threads, 'thread')}, aminet-run {VERSION}"
    yield (
        "Time",
        (
            f"{timings.total / 1000:.2f} s: start {timings.start:.0f} ms, compile "
            f"{timings.compile:.0f} ms, read and score {timings.stream:.0f} ms"
        ),
    )
    if result.peak_rss_mib is not None:
        yield "Memory", f"{result.peak_rss_mib:.0f} MiB at most"


def _disclaimers(of_bundle: str) -> Iterator[Html]:
    """Say what this is not: in the bundle's words, and in ours where those leave it open."""
    yield tag("p", of_bundle)
    if "not a medical device" not in of_bundle.casefold():
        yield tag("p", NOT_A_DEVICE)


def _noise(noise_hu: float | None) -> str:
    if noise_hu is None or not np.isfinite(noise_hu):
        return "not measured"
    return f"about {noise_hu:.0f} HU between neighbouring voxels of soft tissue"
