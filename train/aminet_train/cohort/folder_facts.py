# SPDX-License-Identifier: Apache-2.0
"""What a patient folder holds beyond what training needs, for the report on a cohort."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FirstPhase(StrEnum):
    """Whether phase 1, which no registration has moved, lies on the grid of the atlas."""

    SAME_GRID = "same grid"
    OTHER_GRID = "other grid"
    UNREADABLE = "unreadable"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a patient folder holds beyond what training needs, for the report on a cohort.

    Attributes:
        files: Name and bytes of each file that was read or looked at.
        orientation: Stored axes of the first channel, such as `LPS`.
        range_hu: Lowest and highest HU of each channel; None for one that is not in HU.
        first_phase: Whether phase 1 can be used.
        content: Hash of all voxels of the channels: equal for one scan, however it was packed.
        is_phantom: Whether a program made the patient, which it says in the folder.
    """

    files: tuple[tuple[str, int], ...]
    orientation: str
    range_hu: tuple[tuple[float, float] | None, ...]
    first_phase: FirstPhase
    content: str
    is_phantom: bool = False

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "FolderFacts":
        """Read what `dataclasses.asdict` and JSON made of it."""
        return cls(
            files=tuple((str(name), int(size)) for name, size in values["files"]),
            orientation=str(values["orientation"]),
            range_hu=tuple(bounds and (bounds[0], bounds[1]) for bounds in values["range_hu"]),
            first_phase=FirstPhase(values["first_phase"]),
            content=str(values["content"]),
            # cohorts that were prepared before this was noted were called phantoms, all of them
            is_phantom=bool(values.get("is_phantom", True)),
        )
