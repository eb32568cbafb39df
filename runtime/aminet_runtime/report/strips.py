# SPDX-License-Identifier: Apache-2.0
"""A region's probability over the height of the head, as a strip of SVG."""

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import RegionFinding
from aminet_runtime.finding_text import runs_of
from aminet_runtime.report.markup import NOTHING, Html, element, join

HEIGHT = 30
BAR = 4
"""Below the curve a bar marks the slices that make a region flagged."""


def strip(finding: RegionFinding, scores: NDArray[np.float32]) -> Html:
    """Draw the scores of one region, lowest slice at the left.

    Args:
        finding: The region; nothing is drawn of one that was not assessed.
        scores: float32 [Z] in 0..1, lowest slice first.
    """
    if finding.threshold is None:
        return NOTHING
    count = len(scores)
    curve = " ".join(f"L{x},{_y(p)} L{x + 1},{_y(p)}" for x, p in enumerate(scores.tolist()))
    parts = [
        element("path", {"d": f"M0,{HEIGHT} {curve} L{count},{HEIGHT}Z", "class": "scores"}),
        element("path", {"d": f"M0,{_y(finding.threshold)}H{count}", "class": "threshold"}),
        *(_bar(first, last) for first, last in runs_of(finding.slices)),
    ]
    return element(
        "svg",
        {
            "viewBox": f"0 0 {count} {HEIGHT + 1 + BAR}",
            "preserveAspectRatio": "none",
            "role": "img",
            "aria-label": f"{finding.name}: highest in slice {finding.peak_slice}",
            "class": "strip",
        },
        join(*parts),
    )


def _bar(first: int, last: int) -> Html:
    place = {"x": first, "y": HEIGHT + 1, "width": last + 1 - first, "height": BAR}
    return element("rect", {**place, "class": "run"})


def _y(probability: float) -> str:
    return f"{HEIGHT * (1.0 - probability):.3g}"
