# SPDX-License-Identifier: Apache-2.0
"""The bytes of one file: inflated if gzipped, hashed as they pass, verified to the very end.

Whether a file is gzipped is told by its first two bytes, not by its name. It is opened without
blocking and only if it is a regular file, and read once from start to end with plain reads: a file
that shrinks meanwhile is an error here, where a memory map would kill the process.

What may stand behind the data: behind a gzip stream further gzip members (bgzip and pigz write
them) and zero bytes (padding of tapes and block devices, which gzip ignores too). Nothing else, and
nothing at all behind a plain file's data: there, zeros might be voxels that a damaged header hides.
A plain file has no check sum, so changed bytes in it cannot be noticed; a gzipped one has.
"""

import hashlib
import io
import os
import stat
from pathlib import Path
from typing import Protocol

from isal import igzip_lib

from aminet_runtime.errors import InputDamaged, InputMissing

CHUNK_BYTES = 128 * 1024  # of 64 to 512 KiB the fastest; both chunks stay in the L2 cache
_INFLATED_BYTES = 512 * 1024
"""Most that is inflated at once: twice what a chunk of a scan gives. What it gives beyond, isal
holds back in pieces that fragment the memory: 128 KiB at once cost 0.3 MiB a patient for good."""

_GZIP_MAGIC = b"\x1f\x8b"
_MEMBER_START_BYTES = CHUNK_BYTES // 2  # isal 1.9 misreads a gzip header that comes in two parts
_InflateError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # isal's stub errs
_COPY_HINT = "copy the file again"


class ByteSource(Protocol):
    """Bytes that can be read once, forward."""

    @property
    def kind(self) -> str:
        """What the bytes are, for messages: `file` or `gzip stream`."""

    @property
    def total_bytes(self) -> int | None:
        """How many bytes there will be; None where only the end can tell."""

    @property
    def sha256(self) -> str:
        """Hash (hex) of the file's bytes as they lie on the disk, as far as they were read."""

    def read_into(self, view: memoryview) -> int:
        """Fill the view, and return how many bytes there were; fewer than asked only at the end.

        Raises:
            InputDamaged: The disk reports an error, or the gzip stream is damaged.
        """

    def finish(self) -> None:
        """Verify that all bytes were read and that the check sums hold.

        Raises:
            InputDamaged: There are more bytes, or the gzip stream is cut or damaged.
        """

    def close(self) -> None:
        """Close the file."""


def open_source(path: Path) -> ByteSource:
    """Open a regular file, and inflate it on the way if it is gzipped.

    Raises:
        InputMissing: There is no regular file at the path that may be read.
        InputDamaged: The disk reports an error.
    """
    file = _HashedFile(path)
    try:
        return _GzipBytes(file) if file.peek(2) == _GZIP_MAGIC else _PlainBytes(file)
    except BaseException:
        file.close()
        raise


def hash_regular_file(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes as they lie on the disk.

    Raises:
        InputMissing: There is no regular file at the path that may be read.
        InputDamaged: The disk reports an error.
    """
    file = _HashedFile(path)
    try:
        chunk = memoryview(bytearray(CHUNK_BYTES))
        while file.read_into(chunk):
            pass
        return file.sha256
    finally:
        file.close()


class _HashedFile:
    """A regular file, read forward; each byte that is read enters the hash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open_regular(path)
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def peek(self, count: int) -> bytes:
        """Look at the first bytes; they will be read, and hashed, again."""
        first = bytearray(count)
        got = self._read(memoryview(first))
        self._file.seek(0)
        return bytes(first[:got])

    def read_into(self, view: memoryview) -> int:
        """Read up to the length of the view; 0 means the end of the file."""
        count = self._read(view)
        self._digest.update(view[:count])
        return count

    def close(self) -> None:
        self._file.close()

    def _read(self, view: memoryview) -> int:
        try:
            return self._file.readinto(view) or 0
        except OSError as cause:
            raise InputDamaged(
                f"the file cannot be read ({cause.strerror})",
                case=6,
                path=self.path,
                hint="check the disk or the network drive, and copy the file again",
            ) from cause


def _open_regular(path: Path) -> io.FileIO:
    """Open without blocking, so that a FIFO that nobody writes to is refused and not waited for."""
    try:
        file = io.FileIO(path, "rb", opener=_open_nonblocking)
    except FileNotFoundError as cause:
        raise InputMissing(
            "there is no such file", case=1, path=path, hint="check the path"
        ) from cause
    except (OSError, ValueError) as cause:
        raise InputMissing(
            f"the file cannot be opened ({getattr(cause, 'strerror', None) or cause})",
            case=2,
            path=path,
            hint="name a regular file that you may read",
        ) from cause
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise InputMissing(
            "this is not a regular file", case=3, path=path, hint="name a NIfTI file"
        )
    return file


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


class _PlainBytes:
    """A file whose bytes are the data."""

    kind = "file"

    def __init__(self, file: _HashedFile) -> None:
        self._file = file
        self.total_bytes = file.size

    @property
    def sha256(self) -> str:
        return self._file.sha256

    def read_into(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view):
            count = self._file.read_into(view[filled : filled + CHUNK_BYTES])
            if count == 0:
                break
            filled += count
        return filled

    def finish(self) -> None:
        if self._file.read_into(memoryview(bytearray(1))):
            raise bytes_behind_the_data(self._file.path)

    def close(self) -> None:
        self._file.close()


class _GzipBytes:
    """A file of one or more gzip members, inflated chunk by chunk."""

    kind = "gzip stream"
    total_bytes = None

    def __init__(self, file: _HashedFile) -> None:
        self._file = file
        self._chunk = memoryview(bytearray(CHUNK_BYTES))
        self._member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
        self._pending: bytes | memoryview = b""
        self._inflated: bytes | memoryview = b""
        self._cut = False

    @property
    def sha256(self) -> str:
        return self._file.sha256

    def read_into(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view):
            self._inflated = self._inflated or memoryview(self._inflate())
            count = min(len(self._inflated), len(view) - filled)
            if count == 0:
                break
            view[filled : filled + count] = self._inflated[:count]
            self._inflated = self._inflated[count:]
            filled += count
        return filled

    def finish(self) -> None:
        if self._inflated or self._inflate():
            raise bytes_behind_the_data(self._file.path)
        if self._cut:
            raise InputDamaged(
                "the gzip stream is cut off before its check sum",
                case=2,
                path=self._file.path,
                hint=_COPY_HINT,
            )

    def close(self) -> None:
        self._file.close()

    def _inflate(self) -> bytes:
        """Return the next bytes, at least one; none where the stream ends or is cut."""
        while not self._cut:
            if self._member.eof and not self._start_next_member():
                return b""
            inflated = self._feed()
            if inflated:
                return inflated
        return b""

    def _feed(self) -> bytes:
        """Let the member inflate what it still holds or, if it wants more, the next bytes."""
        source: bytes | memoryview = b""
        if self._member.needs_input:
            source, self._pending = self._pending or self._next_chunk(), b""
            self._cut = len(source) == 0
        try:
            inflated: bytes = self._member.decompress(source, _INFLATED_BYTES)
        except _InflateError as cause:
            raise InputDamaged(
                f"the gzip stream is damaged ({cause})",
                case=3,
                path=self._file.path,
                hint=_COPY_HINT,
            ) from cause
        return inflated

    def _start_next_member(self) -> bool:
        """Skip zero padding, and begin the member behind it; False at the end of the file."""
        rest = bytes(self._member.unused_data).lstrip(b"\0")
        while not rest:
            chunk = self._next_chunk()
            if not chunk:
                return False
            rest = bytes(chunk).lstrip(b"\0")
        if rest[:1] != _GZIP_MAGIC[:1]:
            raise InputDamaged(
                "bytes follow the end of the gzip stream",
                case=5,
                path=self._file.path,
                hint=_COPY_HINT,
            )
        self._member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
        self._pending = self._lengthen(rest)
        return True

    def _lengthen(self, start: bytes) -> bytes:
        """Read on until the start of a member holds its whole header, if the file goes on."""
        while len(start) < _MEMBER_START_BYTES and (chunk := self._next_chunk()):
            start += chunk
        return start

    def _next_chunk(self) -> memoryview:
        return self._chunk[: self._file.read_into(self._chunk)]


def bytes_behind_the_data(path: Path) -> InputDamaged:
    """Make the error for a file that goes on behind what its header announces."""
    return InputDamaged(
        "bytes follow the last voxel that the header announces",
        case=4,
        path=path,
        hint="header and data do not belong together; copy or convert the file again",
    )
