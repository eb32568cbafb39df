# SPDX-License-Identifier: Apache-2.0
"""A patient folder as a source of slices for preparation, checked on the way.

The folder is walked through twice: atlas, clot and SPIRAL map for the truth, then the channels.
Both go through the runtime's `Scan`, so that what a deployed network would refuse is refused here.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aminet_runtime.errors import AminetError, InputDamaged, InputInconsistent, InternalError
from aminet_runtime.patient import Channel, PatientFolder, check_same_grid
from aminet_runtime.regions import require_clot
from aminet_runtime.scan import Scan
from aminet_runtime.track_record import scan_fingerprint
from aminet_runtime.volume import Volume
from aminet_train.cohort.folder_facts import FirstPhase, FolderFacts
from aminet_train.cohort.prepared_patient import CELL_GRID, PatientTruth, ScanInfo
from aminet_train.cohort.truth import TruthCollector

PHANTOM_FILE = "phantom.json"
"""How a phantom was made; phantoms of one arterial tree are one group."""


class FolderSource:
    """A patient folder as a source of slices.

    Args:
        folder: The folder.
        channels: Of the networks, in order.

    Raises:
        InputMissing: A file is not there.
        InputDamaged: A file is cut or damaged.
        InputUnsupported: A header is not one that we read.
        InputInconsistent: Channels, atlas, clot and SPIRAL map do not share one grid.
    """

    def __init__(self, folder: Path, channels: Sequence[Channel]) -> None:
        self._folder = PatientFolder.open(folder)
        self._channels = tuple(channels)
        self._grid, self._orientation = self._require_one_grid()
        self._about: ScanInfo | None = None

    @property
    def patient_id(self) -> str:
        """Name of the folder."""
        return self._folder.patient_id

    @property
    def slice_spacing_mm(self) -> float:
        """Distance of the slices."""
        return self._grid.spacing_mm[2]

    def truth(self, grid: tuple[int, int] = CELL_GRID) -> PatientTruth:
        """Read atlas, clot file and, where there is one, the SPIRAL map."""
        clots = _clot_slices(self._folder.clot_path)
        with Scan.open(self._folder, self._maps()) as scan:
            collector = TruthCollector(scan.shape[0], grid)
            planes = np.empty((len(self._maps()), *scan.shape[1:]), np.float32)
            for index, write in scan.slices():
                write(planes)
                if index in clots:
                    collector.add_clot(index, clot=clots[index], atlas=planes[0])
                if len(planes) > 1:
                    collector.add_spiral(index, spiral=planes[1], atlas=planes[0])
        return collector.truth()

    def images_hu(self, indices: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Read the channels in step, hand on the wanted slices, and judge the scan at its end."""
        wanted = set(indices.tolist())
        look = _Look(self._channels)
        with Scan.open(self._folder, self._channels) as scan:
            image = np.empty((len(self._channels), *scan.shape[1:]), np.float32)
            for index, write in scan.slices():
                write(image)
                look.add(index, image)
                if index in wanted:
                    yield index, image
            scan.verify()
            self._about = self._describe(scan, look)

    def about(self) -> ScanInfo:
        """Return the channels' grid, one fingerprint over their files, and facts of the folder."""
        if self._about is None:
            raise InternalError("a scan was described before it was read")
        return self._about

    def _maps(self) -> list[Channel]:
        has_spiral = self._folder.has(Channel.SPIRAL)
        return [Channel.ATLAS, Channel.SPIRAL] if has_spiral else [Channel.ATLAS]

    def _require_one_grid(self) -> tuple[Volume, str]:
        """Compare the headers of all files that are read; the voxels come later."""
        paths = [self._folder.path_of(channel) for channel in self._channels]
        paths += [self._folder.path_of(channel) for channel in self._maps()]
        with ExitStack() as stack:
            volumes = [
                stack.enter_context(Volume.open(path)) for path in [*paths, self._folder.clot_path]
            ]
            check_same_grid(volumes)
            return volumes[0], volumes[0].stored_orientation

    def _first_phase(self) -> FirstPhase:
        if not self._folder.has(Channel.CTA1):
            return FirstPhase.ABSENT
        try:
            with Volume.open(self._folder.path_of(Channel.CTA1)) as volume:
                check_same_grid([self._grid, volume])
        except InputInconsistent:
            return FirstPhase.OTHER_GRID
        except AminetError:
            return FirstPhase.UNREADABLE
        return FirstPhase.SAME_GRID

    def _describe(self, scan: Scan, look: "_Look") -> ScanInfo:
        count, rows, columns = scan.shape
        return ScanInfo(
            shape=(columns, rows, count),
            spacing_mm=scan.spacing_mm,
            fingerprint=scan_fingerprint(scan.file_hashes()),
            group=_group_of(self._folder.path),
            facts=FolderFacts(
                files=file_sizes(self._folder),
                orientation=self._orientation,
                range_hu=look.range_hu(),
                first_phase=self._first_phase(),
                content=look.content(),
                is_phantom=(self._folder.path / PHANTOM_FILE).is_file(),
            ),
        )


def file_sizes(folder: PatientFolder) -> tuple[tuple[str, int], ...]:
    """Return name and bytes of a patient's files, to notice that one was replaced."""
    return tuple((path.name, path.stat().st_size) for _key, path in folder.files)


class _Look:
    """Range and hash of what streams by."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._in_hu = [channel.in_hu for channel in channels]
        self._lowest = np.full(len(channels), np.inf)
        self._highest = np.full(len(channels), -np.inf)
        self._sums: dict[int, int] = {}

    def add(self, index: int, image: NDArray[np.float32]) -> None:
        """Look at one slice [C, H, W]."""
        self._lowest = np.minimum(self._lowest, image.min(axis=(1, 2)))
        self._highest = np.maximum(self._highest, image.max(axis=(1, 2)))
        self._sums[index] = isal_zlib.crc32(image.data)  # ten times as fast as a cryptographic hash

    def range_hu(self) -> tuple[tuple[float, float] | None, ...]:
        """Return lowest and highest HU of each channel."""
        bounds = zip(self._in_hu, self._lowest.tolist(), self._highest.tolist(), strict=True)
        return tuple((low, high) if in_hu else None for in_hu, low, high in bounds)

    def content(self) -> str:
        """Return one hash over the sums of the slices, lowest first."""
        return hashlib.sha256(repr(sorted(self._sums.items())).encode()).hexdigest()


def _clot_slices(path: Path) -> dict[int, NDArray[np.uint8]]:
    """Read the clot mask and keep the few slices with clot, uint8 [H, W]."""
    found: dict[int, NDArray[np.uint8]] = {}
    with Volume.open(path) as volume:
        values = np.empty(volume.shape[1:], np.float32)
        for part in volume.slices():
            volume.write_hu(part, values)
            if values.any():
                found[part.index] = _checked_clot(values, path)
    return found


def _checked_clot(values: NDArray[np.float32], path: Path) -> NDArray[np.uint8]:
    try:
        require_clot(values)
    except InputInconsistent as error:
        error.path = path
        raise
    return values.astype(np.uint8)


def _group_of(folder: Path) -> str | None:
    """Read the arterial tree of a phantom; other patients are of no group."""
    path = folder / PHANTOM_FILE
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_bytes()).get("anatomy", {}).get("tree")
    except (ValueError, AttributeError) as cause:
        raise InputDamaged(
            f"not the JSON of a phantom: {cause}", path=path, hint="make the phantom again"
        ) from cause
    return None if tree is None else str(tree)
