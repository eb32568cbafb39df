# SPDX-License-Identifier: Apache-2.0
"""The 15 brain regions: their names, their mirror images, and which of them hold a clot.

A region is the value of a voxel in the patient's atlas, 0 to 14; region 0 is one like the others.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputInconsistent, InputMissing, InputUnsupported

REGION_COUNT = 15
CLOT_VALUES = (1, 2)  # both mean clot; 0 is none
REGIONS_FILE = "regions.json"
MAX_REGIONS_FILE_BYTES = 64 * 1024  # 15 names of 100 letters need 3 KB
MAX_NAME_LENGTH = 100  # a table cell

_KEYS = ("names", "mirror")
_FORM_HINT = f'write {{"names": [{REGION_COUNT} names], "mirror": [{REGION_COUNT} indices]}}'
_Voxel = TypeVar("_Voxel", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Regions:
    """What the regions are called; valid once built.

    Attributes:
        names: 15 different names, by region.
        mirror: For each region the one on the other side (itself where there is none), or None
            where this is not known.
    """

    names: tuple[str, ...]
    mirror: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse names and mirrors that cannot be right.

        Raises:
            InputInconsistent: There are not 15 unique printable names, or the mirror of a mirror is
                not the region itself.
        """
        _require_names(self.names)
        if self.mirror is not None:
            _require_involution(self.mirror)

    @classmethod
    def numbered(cls) -> Self:
        """Name the regions `region 0` to `region 14`, for cohorts that do not name them."""
        return cls(names=tuple(f"region {region}" for region in range(REGION_COUNT)))


def _require_names(names: tuple[str, ...]) -> None:
    if len(names) != REGION_COUNT:
        raise InputInconsistent(
            f"there are {len(names)} region names instead of {REGION_COUNT}",
            case=20,
            hint=_FORM_HINT,
        )
    for region, name in enumerate(names):
        if not name.strip() or not name.isprintable() or len(name) > MAX_NAME_LENGTH:
            raise InputInconsistent(
                f"the name of region {region} is empty, longer than {MAX_NAME_LENGTH} characters "
                "or not printable",
                case=21,
                hint="give each region a short name",
            )
    if len({name.strip().casefold() for name in names}) != REGION_COUNT:
        raise InputInconsistent(
            "two regions have the same name", case=22, hint="give each region a name of its own"
        )


def _require_involution(mirror: tuple[int, ...]) -> None:
    in_range = all(0 <= other < REGION_COUNT for other in mirror)
    if len(mirror) != REGION_COUNT or not in_range:
        raise InputInconsistent(
            f"mirror does not hold {REGION_COUNT} regions of 0..{REGION_COUNT - 1}",
            case=23,
            hint=_FORM_HINT,
        )
    for region, other in enumerate(mirror):
        if mirror[other] != region:
            raise InputInconsistent(
                f"mirror sends region {region} to {other}, but {other} to {mirror[other]}",
                case=24,
                hint="let the two sides of a pair name each other",
            )


def find_regions_json(patient_folder: str | Path) -> Path | None:
    """Look for region names beside the patients of the cohort, then in the patient's own folder.

    Returns:
        The file, or None where the cohort does not name its regions.
    """
    folder = Path(patient_folder).absolute()
    for place in (folder.parent, folder):
        file = place / REGIONS_FILE
        if file.exists() or file.is_symlink():  # a dangling link is an error, not a missing file
            return file
    return None


def load_regions(path: str | Path) -> Regions:
    """Read region names from a JSON file.

    Raises:
        InputMissing: The file is not there or cannot be read.
        InputUnsupported: It is too large, no JSON, or has not the form of a `regions.json`.
        InputInconsistent: Names or mirror cannot be right.
    """
    path = Path(path)
    content = _parse(_read_capped(path), path=path)
    try:
        return Regions(
            names=_strings(content.get("names"), path=path),
            mirror=_indices(content["mirror"], path=path) if "mirror" in content else None,
        )
    except InputInconsistent as error:
        error.path = path
        raise


def _read_capped(path: Path) -> bytes:
    """Read the file, at most one byte more than it may have."""
    if not path.exists():
        raise InputMissing("there is no such file", case=20, path=path, hint="check the path")
    if not path.is_file():  # a FIFO would be waited for
        raise InputMissing(
            "this is not a regular file", case=22, path=path, hint="name a JSON file, or remove it"
        )
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_REGIONS_FILE_BYTES + 1)
    except OSError as cause:
        raise InputMissing(
            f"the file cannot be read ({cause.strerror})",
            case=21,
            path=path,
            hint="check its permissions",
        ) from cause
    if len(raw) > MAX_REGIONS_FILE_BYTES:
        raise InputUnsupported(
            f"the file has more than {MAX_REGIONS_FILE_BYTES} bytes",
            case=40,
            path=path,
            hint=_FORM_HINT,
        )
    return raw


def _parse(raw: bytes, *, path: Path) -> dict[str, object]:
    try:
        content = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as cause:
        raise InputUnsupported(
            f"this is not valid JSON ({cause})", case=41, path=path, hint=_FORM_HINT
        ) from cause
    if not isinstance(content, dict) or not set(content) <= set(_KEYS):
        raise InputUnsupported(
            f"this is no object with the keys {' and '.join(_KEYS)} only",
            case=42,
            path=path,
            hint=_FORM_HINT,
        )
    return content


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _strings(value: object, *, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputUnsupported("names is no list of texts", case=43, path=path, hint=_FORM_HINT)
    return tuple(value)


def _indices(value: object, *, path: Path) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(index) is int for index in value):
        raise InputUnsupported(
            "mirror is no list of whole numbers", case=44, path=path, hint=_FORM_HINT
        )
    return tuple(value)


def slice_labels(clot: NDArray[_Voxel], atlas: NDArray[_Voxel]) -> NDArray[np.bool_]:
    """Mark the regions that hold a clot voxel in this slice.

    Args:
        clot: [H, W], 0 none, 1 and 2 clot.
        atlas: [H, W], the region of each voxel, 0 to 14.

    Returns:
        bool [15].

    Raises:
        InputInconsistent: A value is none of these, or the two have different shapes.
    """
    _require_same_shape(clot, atlas)
    require_clot(clot)
    require_atlas(atlas)
    regions = atlas[clot != 0].astype(np.intp)
    return np.bincount(regions, minlength=REGION_COUNT) > 0


def require_atlas(values: NDArray[_Voxel]) -> None:
    """Require that all values of a slice [H, W] are regions.

    Raises:
        InputInconsistent: One is not a whole number of 0 to 14.
    """
    _require_whole_numbers(values, name="atlas", highest=REGION_COUNT - 1)


def require_clot(values: NDArray[_Voxel]) -> None:
    """Require that all values of a slice [H, W] are those of a clot mask.

    Raises:
        InputInconsistent: One is not 0, 1 or 2.
    """
    _require_whole_numbers(values, name="clot mask", highest=max(CLOT_VALUES))


def _require_same_shape(clot: NDArray[_Voxel], atlas: NDArray[_Voxel]) -> None:
    if clot.shape != atlas.shape:
        raise InputInconsistent(
            f"the clot mask has {clot.shape} voxels a slice, the atlas {atlas.shape}",
            case=25,
            hint="both must lie on the same grid",
        )


def _require_whole_numbers(values: NDArray[_Voxel], *, name: str, highest: int) -> None:
    lowest_value, highest_value = values.min(), values.max()  # NaN if there is one
    in_range = bool(lowest_value >= 0) and bool(highest_value <= highest)
    if not in_range or (values.dtype.kind == "f" and bool((values != np.rint(values)).any())):
        raise InputInconsistent(
            f"the {name} has values from {lowest_value:g} to {highest_value:g} where only the "
            f"whole numbers 0..{highest} have a meaning",
            case=26,
            hint="check that this is the right file, resampled by nearest neighbour if at all",
        )
