# SPDX-License-Identifier: Apache-2.0
"""The scan of one patient: the volumes of a bundle's channels, read in step and checked on the way.

Only after the last slice everything is known: that the files were read to their verified ends, that
the CT channels show a head in HU, and their hashes. Until then nothing that was derived may leave
the program. Where no channel is a CT, the size of the grid is what tells a head.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputInconsistent, InputUnsuitable
from aminet_runtime.field_of_view import RegionsInView
from aminet_runtime.input_contract import NO_MARGIN_PX, InputContract
from aminet_runtime.patient import Channel, PatientFolder, check_same_grid
from aminet_runtime.regions import require_atlas
from aminet_runtime.scan_check import ScanCheck, require_head_size
from aminet_runtime.slice_window import SliceSource
from aminet_runtime.volume import AxialSlice, Volume, slices_together

SPIRAL_RANGE = (-0.01, 1.01)
"""A SPIRAL map holds probabilities; int16 with a scale slope is right to 0.001."""

CASE_NOT_A_MAP = 20


class Scan:
    """The opened volumes of one patient, for one pass."""

    def __init__(self, volumes: Mapping[Channel, Volume]) -> None:
        """Take over open volumes of one grid; use `Scan.open`."""
        self._volumes = dict(volumes)
        self._first = next(iter(self._volumes.values()))
        self._in_view: RegionsInView | None = None
        self._checks = {
            channel: ScanCheck(volume) for channel, volume in self._volumes.items() if channel.in_hu
        }

    @classmethod
    def open(cls, patient: PatientFolder, channels: Sequence[Channel], *, threads: int = 1) -> Self:
        """Open the files of the channels and compare their headers.

        Args:
            patient: The patient's folder.
            channels: At least one, in the order of the network's planes.
            threads: Above 1, each file is read ahead on a thread of its own.

        Raises:
            InputMissing: A channel's file is not there.
            InputDamaged: A file is cut or damaged.
            InputUnsupported: A header is not one that we read.
            InputInconsistent: The channels do not share one grid.
            InputUnsuitable: The field of view or the length is not that of a head.
        """
        with ExitStack() as opened:
            volumes = {
                channel: opened.enter_context(Volume.open(patient.path_of(channel)))
                for channel in channels
            }
            check_same_grid(list(volumes.values()))
            require_head_size(volumes[channels[0]])
            scan = cls(volumes)
            if threads > 1:
                scan.read_ahead()
            opened.pop_all()
            return scan

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for volume in self._volumes.values():
            volume.close()

    def read_ahead(self) -> None:
        """Read each file on a thread of its own, one slice ahead."""
        for volume in self._volumes.values():
            volume.read_ahead()

    def count_in_view(self, contract: InputContract) -> None:
        """Count how much of each region the network sees, if it sees a part and has the atlas."""
        if Channel.ATLAS in self._volumes and contract.network_margin_px != NO_MARGIN_PX:
            _depth, height, width = self.shape
            self._in_view = RegionsInView(contract, height=height, width=width)

    def regions_cut_off(self, share: float) -> tuple[int, ...]:
        """Return the regions of which more than a share is not seen, once all slices were read."""
        return () if self._in_view is None else self._in_view.cut_off(share)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Canonical (Z, H, W)."""
        return self._first.shape

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Canonical (x, y, z)."""
        return self._first.spacing_mm

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in the order of the channels."""
        return tuple(volume.path for volume in self._volumes.values())

    @property
    def held_bytes(self) -> int:
        """Memory for volumes that cannot stream in the order in which they are stored."""
        volumes = self._volumes.values()
        one_direction = len({volume.walks_upward for volume in volumes}) == 1
        return sum(
            volume.header.data_bytes
            for volume in volumes
            if not volume.orientation.is_axial
            or not (one_direction or volume.orientation.runs_upward)
        )

    def slices(self) -> SliceSource:
        """Walk once through all slices, in stored order, all channels in step.

        Yields:
            Canonical slice number, and what writes its HU into float32 [channels, H, W].

        Raises:
            InputDamaged: A file ends early, fails its check sum or goes on behind its end.
            InputUnsuitable: A channel holds values that cannot be what it should show.
            InputInconsistent: The atlas holds values that are no regions.
        """
        for parts in slices_together(list(self._volumes.values())):
            for check, part in zip(self._checks.values(), self._checked(parts), strict=True):
                check.add(part)
            yield parts[0].index, partial(self._write, parts)

    def verify(self) -> None:
        """Judge the scan once all slices were read.

        Raises:
            InputUnsuitable: A CT channel is not a head CT in HU.
        """
        for check in self._checks.values():
            check.verify()

    def file_hashes(self) -> tuple[str, ...]:
        """Return sha256 (hex) of each file, in the order of the channels, once all was read."""
        return tuple(volume.sha256 for volume in self._volumes.values())

    def _checked(self, parts: Sequence[AxialSlice]) -> Iterator[AxialSlice]:
        for channel, part in zip(self._volumes, parts, strict=True):
            if channel in self._checks:
                yield part

    def _write(self, parts: Sequence[AxialSlice], out: NDArray[np.float32]) -> None:
        channels = zip(self._volumes.items(), parts, out, strict=True)
        for (channel, volume), part, plane in channels:
            volume.write_hu(part, plane)
            if channel is Channel.SPIRAL:
                _require_map(plane, path=volume.path)
            elif channel is Channel.ATLAS:
                # whole numbers as stored take a fifth of the time that floats do
                atlas = plane if volume.header.is_scaled else part.stored
                _require_atlas(atlas, path=volume.path)
                if self._in_view is not None:
                    self._in_view.add(atlas)


def _require_map(plane: NDArray[np.float32], *, path: Path) -> None:
    lowest, highest = float(plane.min()), float(plane.max())
    if not (lowest >= SPIRAL_RANGE[0] and highest <= SPIRAL_RANGE[1]):  # refuses NaN, too
        raise InputUnsuitable(
            f"the SPIRAL map holds values from {lowest:g} to {highest:g}, probabilities are 0 to 1",
            case=CASE_NOT_A_MAP,
            path=path,
            hint="check that the file is the SPIRAL map, and its scale slope",
        )


def _require_atlas(plane: NDArray[np.generic], *, path: Path) -> None:
    try:
        require_atlas(plane)
    except InputInconsistent as error:
        error.path = path
        raise
