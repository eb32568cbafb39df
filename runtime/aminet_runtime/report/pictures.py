# SPDX-License-Identifier: Apache-2.0
"""A key slice as SVG: once plain, and once with the evidence and the region's outline drawn on it.

Coordinates are mm on the slice. Patient right is on the left, as in radiology.
"""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.report.contour import contour_path
from aminet_runtime.report.exhibits import Exhibit
from aminet_runtime.report.markup import NOTHING, Html, element, join
from aminet_runtime.report.png import grey_png

EVIDENCE_SHARE = 0.5  # of the way from the slice's lowest to its highest evidence
EVIDENCE_CELLS = 112  # across a slice: 2 mm, fine enough for a smooth curve
MARGIN_PX = 8
MIN_BODY_PX = 8  # in a row or column that is kept
SCALE_BAR_MM = 50.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """The part of a slice that is shown; the rest is air.

    Attributes:
        rows: First and last row (behind) of pixels.
        columns: First and last column.
        pixel_mm: Width and height of a pixel.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    pixel_mm: tuple[float, float]

    @property
    def left_mm(self) -> float:
        return self.columns[0] * self.pixel_mm[0]

    @property
    def top_mm(self) -> float:
        return self.rows[0] * self.pixel_mm[1]

    @property
    def width_mm(self) -> float:
        return (self.columns[1] - self.columns[0]) * self.pixel_mm[0]

    @property
    def height_mm(self) -> float:
        return (self.rows[1] - self.rows[0]) * self.pixel_mm[1]

    @property
    def view_box(self) -> str:
        return f"{self.left_mm:.5g} {self.top_mm:.5g} {self.width_mm:.5g} {self.height_mm:.5g}"


def draw(
    exhibit: Exhibit, *, spacing_mm: tuple[float, float, float], name: str
) -> tuple[Html, Html]:
    """Return the plain picture and the one with overlays.

    Args:
        exhibit: What to draw.
        spacing_mm: Of the scan, (x, y, z).
        name: Unique on the page; the second picture refers to the first by it.
    """
    key_slice = exhibit.key_slice
    pixel_mm = (spacing_mm[0] * key_slice.step, spacing_mm[1] * key_slice.step)
    frame = _frame_of(key_slice.grey, pixel_mm)
    image = _image(key_slice.grey, frame, name=name)
    where = f"slice {key_slice.index}, {exhibit.finding.name}"
    plain = _svg(frame, f"CT, {where}", image, _orientation(frame), _scale_bar(frame))
    overlays = _svg(
        frame,
        f"CT with evidence and outline, {where}",
        element("use", {"href": f"#{name}"}),
        _outline(exhibit, spacing_mm),
        _evidence(exhibit, spacing_mm),
        _orientation(frame),
    )
    return plain, overlays


def _frame_of(grey: NDArray[np.uint8], pixel_mm: tuple[float, float]) -> _Frame:
    """Cut off the air around the head."""
    body = grey > 0
    return _Frame(_span(body.sum(axis=1)), _span(body.sum(axis=0)), pixel_mm)


def _span(counts: NDArray[np.int_]) -> tuple[int, int]:
    kept = np.flatnonzero(counts >= MIN_BODY_PX)
    if kept.size < 2 * MIN_BODY_PX:
        return 0, len(counts)
    return max(0, int(kept[0]) - MARGIN_PX), min(len(counts), int(kept[-1]) + 1 + MARGIN_PX)


def _svg(frame: _Frame, label: str, *content: Html) -> Html:
    attributes = {"viewBox": frame.view_box, "role": "img", "aria-label": label}
    return element("svg", attributes, *content)


def _image(grey: NDArray[np.uint8], frame: _Frame, *, name: str) -> Html:
    cut = np.ascontiguousarray(grey[slice(*frame.rows), slice(*frame.columns)])
    data = base64.b64encode(grey_png(cut)).decode("ascii")
    return element(
        "image",
        {
            "id": name,
            "href": f"data:image/png;base64,{data}",
            "x": f"{frame.left_mm:.5g}",
            "y": f"{frame.top_mm:.5g}",
            "width": f"{frame.width_mm:.5g}",
            "height": f"{frame.height_mm:.5g}",
            "preserveAspectRatio": "none",
        },
    )


def _outline(exhibit: Exhibit, spacing_mm: tuple[float, float, float]) -> Html:
    if exhibit.outline is None:
        return NOTHING
    return _curve(contour_path(exhibit.outline, scale=spacing_mm[:2]), kind="outline")


def _evidence(exhibit: Exhibit, spacing_mm: tuple[float, float, float]) -> Html:
    """Draw around where the evidence is past half-way from its lowest to its highest value."""
    height, width = exhibit.key_slice.grey.shape
    fine = _refined(exhibit.key_slice.evidence)
    lowest, highest = float(fine.min()), float(fine.max())
    if not lowest < highest < np.inf:  # the same everywhere says nothing
        return NOTHING
    mask = fine >= lowest + EVIDENCE_SHARE * (highest - lowest)
    step = exhibit.key_slice.step
    cell_mm = (
        width * step * spacing_mm[0] / mask.shape[1],
        height * step * spacing_mm[1] / mask.shape[0],
    )
    return _curve(contour_path(mask, scale=cell_mm), kind="evidence")


def _refined(evidence: NDArray[np.float32]) -> NDArray[np.float64]:
    """Interpolate [h, w] to cells of about 2 mm; a value stands for the middle of its cell."""
    refined = evidence.astype(np.float64)
    for axis in (0, 1):
        count = refined.shape[axis]
        fine = count * max(1, EVIDENCE_CELLS // count)
        at = (np.arange(fine) + 0.5) * count / fine - 0.5
        below = np.clip(np.floor(at).astype(np.intp), 0, count - 1)
        above = np.minimum(below + 1, count - 1)
        share = np.clip(at - below, 0.0, 1.0).reshape((-1, 1) if axis == 0 else (1, -1))
        low, high = (refined.take(index, axis) for index in (below, above))
        refined = low * (1.0 - share) + high * share
    return refined


def _curve(path: str, *, kind: str) -> Html:
    """Draw a curve on a dark halo, so that it shows on bone and on air."""
    if not path:
        return NOTHING
    halo = element("path", {"d": path, "class": f"halo {kind}"})
    return join(halo, element("path", {"d": path, "class": kind}))


def _orientation(frame: _Frame) -> Html:
    """Write R and L where the patient's right and left are."""
    middle = frame.top_mm + frame.height_mm / 2
    return join(
        _letter("R", frame.left_mm + 2, middle, anchor="start"),
        _letter("L", frame.left_mm + frame.width_mm - 2, middle, anchor="end"),
    )


def _letter(letter: str, x: float, y: float, *, anchor: str) -> Html:
    place = {"x": f"{x:.5g}", "y": f"{y:.5g}", "text-anchor": anchor, "class": "side"}
    return element("text", place, letter)


def _scale_bar(frame: _Frame) -> Html:
    left, bottom = frame.left_mm + 4, frame.top_mm + frame.height_mm - 4
    path = f"M{left:.5g},{bottom - 3:.5g}v3h{SCALE_BAR_MM:g}v-3"
    label = {"x": f"{left + 2:.5g}", "y": f"{bottom - 2:.5g}", "class": "scale"}
    return join(
        element("path", {"d": path, "class": "halo scale-bar"}),
        element("path", {"d": path, "class": "scale-bar"}),
        element("text", label, f"{SCALE_BAR_MM:g} mm"),
    )
