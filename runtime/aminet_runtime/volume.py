# SPDX-License-Identifier: Apache-2.0
"""A scan as canonical axial slices, streamed from its file.

However the voxels are stored, a slice comes as [H, W] in LPS: rows from anterior to posterior,
columns from the patient's right to left, index 0 lowest. A scan stored axially (all CT scanners
do) streams through one buffer of one slice, in stored order, or through two of them where the next
slice is read ahead. One stored sagittally or coronally is held as a whole, in its stored datatype.

A volume is read once, by one thread at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputUnsupported
from aminet_runtime.nifti import NiftiHeader
from aminet_runtime.nifti_file import NiftiFile
from aminet_runtime.orientation import Affine, Orientation

if TYPE_CHECKING:
    from aminet_runtime.read_ahead import ReadAhead

_Voxel = TypeVar("_Voxel", bound=np.generic)

MAX_HELD_BYTES = 2**30  # 512 x 512 x 2048 in int16; an eighth of the default memory limit


@dataclass(frozen=True, slots=True, eq=False)
class AxialSlice:
    """One canonical axial slice of a volume.

    Attributes:
        index: Position along the body, 0 is the lowest slice.
        stored: [H, W] in LPS, in the stored datatype and byte order, not scaled, read-only. A view
            of a buffer that is overwritten once the next slice is asked for.
    """

    index: int
    stored: NDArray[np.generic]


class Volume:
    """A NIfTI file, opened for one pass over its axial slices.

    Attributes:
        path: The file.
        header: Its header, with the stored shape, datatype and scaling.
        orientation: How the stored axes lie in the patient.
        shape: Canonical (Z, H, W).
        spacing_mm: Canonical (x, y, z): between columns, rows and slices.
        affine: float64 [4, 4], canonical index (column, row, slice, 1) to RAS mm, read-only.
    """

    def __init__(self, file: NiftiFile) -> None:
        """Take over an open file; use `Volume.open`."""
        self._file = file
        self._ahead: ReadAhead | None = None
        self._walked = False
        self.path = file.path
        self.header = file.header
        self.orientation = Orientation.of(file.header.affine)
        self.shape = self.orientation.canonical_shape(file.header.shape)
        self.spacing_mm = self.orientation.canonical_spacing(file.header.spacing_mm)
        self.affine = _canonical_affine(self.orientation, file.header)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a NIfTI file and check its header.

        Raises:
            InputMissing: There is no regular file that may be read.
            InputDamaged: The file is cut, damaged, or longer than its header says.
            InputUnsupported: The header is not one that we read, or leaves the orientation open.
        """
        return cls(NiftiFile(Path(path)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def stored_orientation(self) -> str:
        """Where the stored axes run to, for example `RAS`."""
        return self.orientation.code

    @property
    def sha256(self) -> str:
        """Hash (hex) of the file, known once its last slice was handed out.

        Raises:
            ValueError: The end of the file was not reached and verified yet.
        """
        return self._file.sha256

    def read_ahead(self) -> None:
        """Read each slice on another thread while the one before is in use: for several cores."""
        from aminet_runtime.read_ahead import ReadAhead  # noqa: PLC0415 - a pool, 5 ms to import

        self._ahead = ReadAhead()

    def close(self) -> None:
        """Close the file; one that a hanging read still uses is closed once that comes back."""
        if self._ahead is None:
            self._file.close()
        else:
            self._ahead.close(self._file.close)

    def slices(self) -> Iterator[AxialSlice]:
        """Walk once through all slices, in stored order: lowest first or highest first.

        The end of the file is verified before the last slice is handed out. Until then nothing
        that was derived from a slice may leave the program.

        Raises:
            InputDamaged: The file ends early, fails its check sum or goes on behind its end.
            InputUnsupported: The scan is not stored axially and too large to be held.
            ValueError: The volume was walked through before.
        """
        self._begin_walk()
        return self._streamed() if self.orientation.is_axial else self._held()

    def slices_upward(self) -> Iterator[AxialSlice]:
        """Walk once through all slices, lowest first, held as a whole where stored otherwise.

        Raises:
            InputDamaged: The file ends early, fails its check sum or goes on behind its end.
            InputUnsupported: The scan must be held and is too large.
            ValueError: The volume was walked through before.
        """
        self._begin_walk()
        streams = self.orientation.is_axial and self.orientation.runs_upward
        return self._streamed() if streams else self._held()

    @property
    def walks_upward(self) -> bool:
        """Whether `slices` begins with the lowest slice."""
        return self.orientation.runs_upward or not self.orientation.is_axial

    def write_hu(self, axial_slice: AxialSlice, out: NDArray[np.float32]) -> None:
        """Scale a slice of this volume into an array of the caller.

        Args:
            axial_slice: A slice that `slices` handed out and that is still valid.
            out: float32 [H, W], any strides, for example a part of a network's input tensor;
                gets HU, or whatever the file's values mean.
        """
        slope, intercept = np.float32(self.header.slope), np.float32(self.header.intercept)
        with np.errstate(over="ignore", invalid="ignore"):  # scan_check refuses what overflows
            if slope == 1:
                np.copyto(out, axial_slice.stored, casting="unsafe")
            else:
                np.multiply(axial_slice.stored, slope, out=out, casting="unsafe")
            if intercept != 0:
                np.add(out, intercept, out=out)

    def _begin_walk(self) -> None:
        if self._walked:
            raise ValueError("a volume can be walked through once; open it again")
        self._walked = True

    def _streamed(self) -> Iterator[AxialSlice]:
        count, upward = self.header.shape[2], self.orientation.runs_upward
        for stored_index, canonical in enumerate(self._read_in_turn()):
            index = stored_index if upward else count - 1 - stored_index
            yield AxialSlice(index=index, stored=canonical)

    def _read_in_turn(self) -> Iterator[NDArray[np.generic]]:
        """Read slice after slice, into one buffer, or into two in turns; yield canonical views."""
        columns, rows, count = self.header.shape
        buffers = [
            np.empty((1, rows, columns), self.header.dtype)  # [k, j, i]
            for _ in range(1 if self._ahead is None else 2)
        ]
        views = [_read_only(self.orientation.canonical_view(buffer)[0]) for buffer in buffers]
        reads = map(partial, cycle([self._read_next]), cycle(buffers), range(count))
        done = (read() for read in reads) if self._ahead is None else self._ahead.one_ahead(reads)
        for view, _ in zip(cycle(views), done, strict=False):
            yield view

    def _held(self) -> Iterator[AxialSlice]:
        self._require_holdable()
        volume = np.empty(self.header.shape[::-1], self.header.dtype)  # [k, j, i]
        for stored_index in range(len(volume)):
            self._read_next(volume[stored_index], stored_index)
        canonical = _read_only(self.orientation.canonical_view(volume))
        for index in range(len(canonical)):
            yield AxialSlice(index=index, stored=canonical[index])

    def _read_next(self, buffer: NDArray[np.generic], stored_index: int) -> None:
        self._file.read_slice(buffer)
        if stored_index == self.header.shape[2] - 1:
            self._file.finish()

    def _require_holdable(self) -> None:
        if self.header.data_bytes > MAX_HELD_BYTES:
            raise InputUnsupported(
                f"the scan is stored as {self.stored_orientation} and must be held as a whole, "
                f"but has {self.header.data_bytes} bytes, more than {MAX_HELD_BYTES}",
                case=30,
                path=self.path,
                hint="store it axially, lowest slice first (LPS)",
            )


def slices_together(volumes: Sequence[Volume]) -> Iterator[tuple[AxialSlice, ...]]:
    """Walk through volumes of one grid at once; all slices of a tuple have the same index.

    Volumes that are all stored in the same direction stream. Otherwise those that are stored
    highest slice first are held.

    Args:
        volumes: Volumes that passed `aminet_runtime.patient.check_same_grid`.

    Raises:
        InputDamaged: A file ends early, fails its check sum or goes on behind its end.
        InputUnsupported: A scan must be held and is too large.
        ValueError: The volumes have not the same number of slices.
    """
    same_direction = len({volume.walks_upward for volume in volumes}) == 1
    walks = [volume.slices() if same_direction else volume.slices_upward() for volume in volumes]
    yield from zip(*walks, strict=True)


def _canonical_affine(orientation: Orientation, header: NiftiHeader) -> Affine:
    return _read_only(orientation.canonical_affine(header.affine, shape=header.shape))


def _read_only(array: NDArray[_Voxel]) -> NDArray[_Voxel]:
    array.flags.writeable = False
    return array
