# SPDX-License-Identifier: Apache-2.0
"""How findings are put into words, the same in the terminal and on the page.

The wording is "flagged", "not flagged" and "not assessed": a region that is not flagged has not
been shown to be free of a clot.
"""

import math
from collections.abc import Sequence

from aminet_runtime.decision import RegionFinding

MAX_RUNS_SHOWN = 3

_WORDS = {True: "FLAGGED", False: "not flagged", None: "not assessed"}
_RANKS = {True: 0, None: 1, False: 2}


def finding_word(finding: RegionFinding) -> str:
    """Return what was found in a region."""
    return _WORDS[finding.affected]


def flagged_first(findings: Sequence[RegionFinding]) -> list[RegionFinding]:
    """Order by flagged, not assessed, not flagged; within these by probability, then by index."""
    return sorted(
        findings,
        key=lambda finding: (
            _RANKS[finding.affected],
            -(finding.probability or 0.0),
            finding.index,
        ),
    )


def rounded_down(probability: float | None) -> str:
    """Show three digits; rounded down, so that 0.4999 does not look like the 0.5 it misses."""
    if probability is None:
        return "-"
    thousandths = math.floor(probability * 1000 + 1e-6)  # 0.29 * 1000 is 289.99999999999994
    return f"{thousandths / 1000:.3f}"


def slice_runs(slices: Sequence[int]) -> str:
    """Write runs of slices: `3-7, 12`; long lists are cut."""
    runs = runs_of(slices)
    shown = [
        str(first) if first == last else f"{first}-{last}" for first, last in runs[:MAX_RUNS_SHOWN]
    ]
    return ", ".join(shown) + (", ..." if len(runs) > MAX_RUNS_SHOWN else "")


def runs_of(slices: Sequence[int]) -> list[tuple[int, int]]:
    """Return first and last slice of each run of consecutive ones."""
    runs: list[tuple[int, int]] = []
    for index in slices:
        if runs and index == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], index
        else:
            runs.append((index, index))
    return runs


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 region`, `2 regions`."""
    return f"{count} {noun}{'s' * (count != 1)}"
