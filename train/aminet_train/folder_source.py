# SPDX-License-Identifier: Apache-2.0
"""A patient folder as a source of slices for preparation."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputDamaged, InternalError
from aminet_runtime.patient import Channel, PatientFolder, check_same_grid
from aminet_runtime.track_record import scan_fingerprint
from aminet_runtime.volume import AxialSlice, Volume, slices_together
from aminet_train.prepared import PatientTruth, ScanInfo
from aminet_train.truth import TruthCollector

PHANTOM_FILE = "phantom.json"
"""How a phantom was made; phantoms of one arterial tree are one group."""


class FolderSource:
    """A patient folder as a source of slices."""

    def __init__(self, folder: Path, channels: Sequence[Channel]) -> None:
        self._folder = PatientFolder.open(folder)
        self._channels = tuple(channels)
        self._scan: ScanInfo | None = None

    @property
    def patient_id(self) -> str:
        """Name of the folder."""
        return self._folder.patient_id

    def truth(self) -> PatientTruth:
        """Read atlas, clot file and, where there is one, the SPIRAL map side by side."""
        paths = [self._folder.atlas_path, self._folder.clot_path]
        if self._folder.has(Channel.SPIRAL):
            paths.append(self._folder.path_of(Channel.SPIRAL))
        with ExitStack() as stack:
            volumes = [stack.enter_context(Volume.open(path)) for path in paths]
            check_same_grid(volumes)
            return _collect_truth(volumes)

    def images_hu(self, indices: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Read the channels in step and hand on the wanted slices."""
        wanted = set(indices.tolist())
        with ExitStack() as stack:
            volumes = [
                stack.enter_context(Volume.open(self._folder.path_of(channel)))
                for channel in self._channels
            ]
            check_same_grid(volumes)
            image = np.empty((len(volumes), *volumes[0].shape[1:]), np.float32)
            for parts in slices_together(volumes):
                if parts[0].index not in wanted:
                    continue
                for volume, part, plane in zip(volumes, parts, image, strict=True):
                    volume.write_hu(part, plane)
                yield parts[0].index, image
            self._scan = _scan_info(volumes, _group_of(self._folder.path))

    def about(self) -> ScanInfo:
        """Return the channels' grid and one fingerprint over their files."""
        if self._scan is None:
            raise InternalError("a scan was described before it was read")
        return self._scan


def _collect_truth(volumes: Sequence[Volume]) -> PatientTruth:
    """Collect from atlas, clot and perhaps SPIRAL map."""
    collector = TruthCollector(volumes[0].shape[0], has_spiral=len(volumes) > 2)
    for parts in slices_together(volumes):
        atlas, clot, *spiral = map(_scaled, volumes, parts)
        collector.add(parts[0].index, atlas=atlas, clot=clot, spiral=spiral[0] if spiral else None)
    return collector.truth()


def _scan_info(volumes: Sequence[Volume], group: str | None) -> ScanInfo:
    count, rows, columns = volumes[0].shape
    return ScanInfo(
        shape=(columns, rows, count),
        spacing_mm=volumes[0].spacing_mm,
        fingerprint=scan_fingerprint([volume.sha256 for volume in volumes]),
        group=group,
    )


def _scaled(volume: Volume, part: AxialSlice) -> NDArray[np.float32]:
    values = np.empty(volume.shape[1:], np.float32)
    volume.write_hu(part, values)
    return values


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
