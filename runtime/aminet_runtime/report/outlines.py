# SPDX-License-Identifier: Apache-2.0
"""Where the patient's atlas draws the regions of a report's key slices.

The atlas is not needed for the answer and is read after it, for the pictures alone: what is wrong
with it is told on the page and ends nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputError
from aminet_runtime.patient import Channel, PatientFolder, check_same_grid
from aminet_runtime.regions import require_atlas
from aminet_runtime.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Regions on slices.

    Attributes:
        masks: bool [H, W] by (region, slice).
        remark: Why there are none; empty if there are.
    """

    masks: Mapping[tuple[int, int], NDArray[np.bool_]] = field(default_factory=dict)
    remark: str = ""


def read_outlines(
    folder: PatientFolder, shown: Channel, wanted: Sequence[tuple[int, int]]
) -> Outlines:
    """Read the atlas to its verified end and keep what is wanted of it.

    Args:
        folder: The patient.
        shown: The channel of the pictures, whose grid the atlas must share.
        wanted: Pairs of region and canonical slice.
    """
    if not wanted:
        return Outlines()
    if not folder.has_atlas:
        return Outlines(remark="The folder has no atlas, so the regions are not outlined.")
    try:
        return Outlines(_masks(folder, shown, wanted))
    except InputError as error:
        return Outlines(remark=f"The regions are not outlined: {error}.")


def _masks(
    folder: PatientFolder, shown: Channel, wanted: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], NDArray[np.bool_]]:
    masks = {}
    with Volume.open(folder.path_of(shown)) as scan, Volume.open(folder.atlas_path) as atlas:
        check_same_grid([scan, atlas])
        labels = np.empty(atlas.shape[1:], np.float32)
        for axial_slice in atlas.slices():
            regions = [region for region, index in wanted if index == axial_slice.index]
            if regions:
                atlas.write_hu(axial_slice, labels)
                require_atlas(labels)
                masks.update({(region, axial_slice.index): labels == region for region in regions})
    return masks
