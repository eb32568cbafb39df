# SPDX-License-Identifier: Apache-2.0
"""A NIfTI file as its stored slices: one pass from the first voxel to the verified end."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.byte_source import (
    CHUNK_BYTES,
    ByteSource,
    bytes_behind_the_data,
    open_source,
)
from aminet_runtime.errors import InputDamaged
from aminet_runtime.nifti import naming, parse_header
from aminet_runtime.nifti_layout import FIRST_FIELD_BYTES, header_bytes


class NiftiFile:
    """A NIfTI file that is read once: header at opening, then slice after slice, then its end.

    Nothing that was read is to be trusted before `finish` came back: only then the check sum of
    a gzipped file was seen to hold, and only then the hash is complete.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and go to the first voxel.

        Raises:
            InputMissing: There is no regular file that may be read.
            InputDamaged: The file is cut, damaged, or longer than its header says.
            InputUnsupported: The header is not one that we read.
        """
        self.path = path
        self._source = open_source(path)
        self._slices_read = 0
        self._finished = False
        try:
            raw = _read_raw_header(self._source, path=path)
            self.header = parse_header(raw, path=path)
            self._require_size()
            self._skip(self.header.data_offset - len(raw))
        except BaseException:
            self._source.close()
            raise

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
    def sha256(self) -> str:
        """Hash (hex) of the file as it lies on the disk, known once `finish` came back."""
        if not self._finished:
            raise ValueError("the hash is known only after the file was read to its end")
        return self._source.sha256

    def read_slice(self, buffer: NDArray[np.generic]) -> None:
        """Read the next stored slice.

        Args:
            buffer: C-contiguous, in the header's dtype, as large as a stored slice; overwritten.

        Raises:
            InputDamaged: The file ends inside this slice, or is damaged.
        """
        view = buffer.reshape(-1).view(np.uint8).data
        if self._source.read_into(view) < len(view):
            raise self._ends_at(self._slices_read)
        self._slices_read += 1

    def finish(self) -> None:
        """Verify that the last slice is the end of the file, and that its check sums hold.

        Raises:
            InputDamaged: More bytes follow, or the gzip stream is cut or damaged.
        """
        if self._slices_read != self.header.shape[2]:
            raise ValueError("finish was called before the last slice was read")
        self._source.finish()
        self._finished = True

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def _require_size(self) -> None:
        """Compare the size of a plain file with its header, before any voxel is read."""
        if self._source.total_bytes is None:
            return
        data_bytes = self._source.total_bytes - self.header.data_offset
        if data_bytes < self.header.data_bytes:
            raise self._ends_at(max(0, data_bytes) // self.header.slice_bytes)
        if data_bytes > self.header.data_bytes:
            raise bytes_behind_the_data(self.path)

    def _skip(self, count: int) -> None:
        """Pass by the extensions, which may name a patient, without looking at them."""
        scratch = memoryview(bytearray(min(count, CHUNK_BYTES)))
        while count > 0:
            skipped = self._source.read_into(scratch[: min(count, CHUNK_BYTES)])
            if skipped == 0:
                raise self._ends_at(0)
            count -= skipped

    def _ends_at(self, complete_slices: int) -> InputDamaged:
        return InputDamaged(
            f"the {self._source.kind} ends at slice {complete_slices + 1} "
            f"of {self.header.shape[2]}",
            case=2,
            path=self.path,
            hint="copy the file again",
        )


def _read_raw_header(source: ByteSource, *, path: Path) -> bytes:
    """Read as many bytes as the first four announce; the parser judges them."""
    start = _read_bytes(source, FIRST_FIELD_BYTES)
    with naming(path):
        rest = header_bytes(start) - FIRST_FIELD_BYTES
    return start + _read_bytes(source, rest)


def _read_bytes(source: ByteSource, count: int) -> bytes:
    raw = bytearray(count)
    return bytes(raw[: source.read_into(memoryview(raw))])
