# SPDX-License-Identifier: Apache-2.0
"""Which file of a patient folder is what.

    CTA1, CTA2regA, CTA3regA    the three phases of the CT angiography
    SpiralregA                  the SPIRAL perfusion map
    ATLASMASKregA               the region of each voxel
    <id>_clot                   where the clots are, for training

Each is a `.nii` or `.nii.gz` file. Names that differ only in case are accepted, other files are
passed by, and the folder is never written to.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputInconsistent, InputMissing
from aminet_runtime.patient_name import absolute_folder
from aminet_runtime.volume import Volume

GRID_TOLERANCE_MM = 0.25  # below a voxel; a float32 quaternion is right to 0.2 at the corners

_CLOT_SUFFIX = "_clot"
_CLOT_KEY = "<id>_clot"
_SUFFIXES = (".nii.gz", ".nii")


class Channel(StrEnum):
    """What the networks may look at."""

    CTA1 = "cta1"
    CTA2 = "cta2"
    CTA3 = "cta3"
    SPIRAL = "spiral"
    ATLAS = "atlas"

    @property
    def file_stem(self) -> str:
        """Name of the channel's file without its suffix."""
        return _CHANNEL_STEMS[self]

    @property
    def in_hu(self) -> bool:
        """Whether its values are HU; SPIRAL is a probability, the atlas numbers regions."""
        return self not in {Channel.SPIRAL, Channel.ATLAS}


_CHANNEL_STEMS = {
    Channel.CTA1: "CTA1",
    Channel.CTA2: "CTA2regA",
    Channel.CTA3: "CTA3regA",
    Channel.SPIRAL: "SpiralregA",
    Channel.ATLAS: "ATLASMASKregA",
}


@dataclass(frozen=True, slots=True)
class PatientFolder:
    """The files of one patient; use `PatientFolder.open`.

    Attributes:
        path: The folder, absolute, links not followed.
        files: Pairs of what a file is (its stem, or `<id>_clot`) and where it is.
    """

    path: Path
    files: tuple[tuple[str, Path], ...]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Look which files of a patient are there; none of them is opened.

        Raises:
            InputMissing: The path is not a folder, or holds none of a patient's files.
            InputInconsistent: A file is there twice.
        """
        folder = absolute_folder(path)
        found: dict[str, Path] = {}
        for key, file in _recognised(_list_names(folder), folder):
            if key in found:
                raise _twice(found[key], file)
            found[key] = file
        if not found:
            raise _no_patient(folder)
        return cls(path=folder, files=tuple(sorted(found.items())))

    @property
    def patient_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def atlas_path(self) -> Path:
        """The atlas.

        Raises:
            InputMissing: It is not there.
        """
        return self.path_of(Channel.ATLAS)

    @property
    def clot_path(self) -> Path:
        """The mask of the clots.

        Raises:
            InputMissing: It is not there.
        """
        return self._wanted(_CLOT_KEY)

    @property
    def has_atlas(self) -> bool:
        """Whether the atlas is there."""
        return self.has(Channel.ATLAS)

    @property
    def has_clot(self) -> bool:
        """Whether the mask of the clots is there."""
        return _CLOT_KEY in dict(self.files)

    def has(self, channel: Channel) -> bool:
        """Whether the channel's file is there."""
        return channel.file_stem in dict(self.files)

    def path_of(self, channel: Channel) -> Path:
        """The channel's file.

        Raises:
            InputMissing: It is not there.
        """
        return self._wanted(channel.file_stem)

    def _wanted(self, key: str) -> Path:
        files = dict(self.files)
        if key not in files:
            there = ", ".join(file.name for file in files.values())
            raise InputMissing(
                f"{key}.nii.gz or {key}.nii is not in the folder",
                case=12,
                path=self.path,
                hint=f"add it; there are {there}",
            )
        return files[key]


def _list_names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError as cause:
        raise InputMissing(
            "there is no such folder", case=10, path=folder, hint="check the path"
        ) from cause
    except (OSError, ValueError) as cause:
        raise InputMissing(
            f"the folder cannot be read ({getattr(cause, 'strerror', None) or cause})",
            case=13,
            path=folder,
            hint="name a patient folder that you may read, not a file in it",
        ) from cause


def _recognised(names: list[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Pair each file that is one of a patient's with what it is."""
    by_case = {stem.casefold(): stem for stem in _CHANNEL_STEMS.values()}
    for name in names:
        stem = _stem(name)
        if stem in by_case:
            yield by_case[stem], folder / name
        elif stem.endswith(_CLOT_SUFFIX) and not stem.startswith("."):
            yield _CLOT_KEY, folder / name


def _stem(name: str) -> str:
    """Take `.nii` or `.nii.gz` from a name, and fold its case; empty for other files."""
    folded = name.casefold()
    for suffix in _SUFFIXES:
        if folded.endswith(suffix):
            return folded.removesuffix(suffix)
    return ""


def _twice(first: Path, second: Path) -> InputInconsistent:
    return InputInconsistent(
        f"{first.name} and {second.name} are both in the folder",
        case=10,
        path=first.parent,
        hint="keep the one that is meant",
    )


def _no_patient(folder: Path) -> InputMissing:
    return InputMissing(
        "the folder holds none of a patient's files",
        case=11,
        path=folder,
        hint=f"name the folder that holds {_CHANNEL_STEMS[Channel.CTA2]}.nii.gz, "
        "one patient's and not the cohort's",
    )


def check_same_grid(volumes: Sequence[Volume]) -> None:
    """Require that the same index means the same place in all volumes, to `GRID_TOLERANCE_MM`.

    They may be stored in different orientations: the canonical grids are compared.

    Raises:
        InputInconsistent: Two volumes differ in shape, spacing or position.
    """
    for other in volumes[1:]:
        _require_same_grid(volumes[0], other)


def _require_same_grid(first: Volume, other: Volume) -> None:
    if first.shape != other.shape:
        difference = f"{_sizes(first.shape[::-1])} and {_sizes(other.shape[::-1])} voxels"
        raise _different_grids(first, other, difference=difference)
    distance_mm = float(np.linalg.norm(_corners_mm(first) - _corners_mm(other), axis=0).max())
    if distance_mm > GRID_TOLERANCE_MM:
        spacings = f"voxels of {_sizes(first.spacing_mm)} and {_sizes(other.spacing_mm)} mm"
        difference = f"{spacings}, the same corner {distance_mm:.2f} mm apart"
        raise _different_grids(first, other, difference=difference)


def _corners_mm(volume: Volume) -> NDArray[np.float64]:
    """Place the eight corner voxels, [3, 8] in RAS mm; they move with spacing, turn and origin."""
    depth, height, width = (length - 1 for length in volume.shape)
    indices = [(x, y, z, 1) for x in (0, width) for y in (0, height) for z in (0, depth)]
    corners: NDArray[np.float64] = (volume.affine @ np.array(indices, dtype=np.float64).T)[:3]
    return corners


def _sizes(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _different_grids(first: Volume, other: Volume, *, difference: str) -> InputInconsistent:
    return InputInconsistent(
        f"the grid is not that of {first.path.name}: {difference}",
        case=11,
        path=other.path,
        hint="register both to the same frame and resample them to one grid",
    )
