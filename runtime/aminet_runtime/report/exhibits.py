# SPDX-License-Identifier: Apache-2.0
"""What a page shows of a patient beside the figures: the peak slices of a few regions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import RegionFinding
from aminet_runtime.finding_text import flagged_first
from aminet_runtime.patient import Channel, PatientFolder
from aminet_runtime.report.key_slices import KeySlice, KeySliceKeeper
from aminet_runtime.report.outlines import read_outlines

MAX_FLAGGED_SHOWN = 6
NEAREST_SHOWN = 3
"""Where nothing is flagged, the regions nearest to their thresholds are shown instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """The peak slice of a region.

    Attributes:
        finding: The region.
        key_slice: The slice.
        outline: bool [H, W], where the atlas has the region in it; None where there is no atlas.
    """

    finding: RegionFinding
    key_slice: KeySlice
    outline: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False)
class Exhibits:
    """All that a page shows beside the result.

    Attributes:
        shown: At most `MAX_FLAGGED_SHOWN`.
        channel: What the pictures show.
        remark: Why regions are not outlined; empty if they are.
        noise_hu: Noise of the soft tissue; None if not known.
    """

    shown: tuple[Exhibit, ...]
    channel: Channel
    remark: str
    noise_hu: float | None


def collect(
    keeper: KeySliceKeeper, findings: Sequence[RegionFinding], folder: PatientFolder
) -> Exhibits:
    """Choose what is worth a picture, and read the atlas for it.

    Args:
        keeper: Has seen all slices.
        findings: Of all regions.
        folder: The patient.
    """
    chosen = [
        (finding, key_slice)
        for finding in _worth_a_picture(findings)
        if (key_slice := keeper.for_finding(finding)) is not None
    ]
    wanted = [(finding.index, key_slice.index) for finding, key_slice in chosen]
    outlines = read_outlines(folder, keeper.channel, wanted)
    return Exhibits(
        shown=tuple(
            Exhibit(finding, key_slice, outlines.masks.get((finding.index, key_slice.index)))
            for finding, key_slice in chosen
        ),
        channel=keeper.channel,
        remark=outlines.remark,
        noise_hu=keeper.noise_hu,
    )


def _worth_a_picture(findings: Sequence[RegionFinding]) -> list[RegionFinding]:
    flagged = [finding for finding in flagged_first(findings) if finding.affected]
    if flagged:
        return flagged[:MAX_FLAGGED_SHOWN]
    assessed = [finding for finding in findings if finding.affected is not None]
    return sorted(assessed, key=_distance_to_threshold)[:NEAREST_SHOWN]


def _distance_to_threshold(finding: RegionFinding) -> float:
    """Return how far below its threshold a region stayed, as a share of the threshold."""
    if finding.probability is None or finding.threshold is None:
        return 1.0
    return 1.0 - finding.probability / finding.threshold
