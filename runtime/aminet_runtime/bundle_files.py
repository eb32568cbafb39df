# SPDX-License-Identifier: Apache-2.0
"""The files of a bundle and their checksums: nothing is used before its hash was seen to be right.

SHA256SUMS is what `sha256sum *` prints: 64 hex digits, two spaces, a plain file name, a line break.
The name must be that of one file on every system, so that a bundle means the same wherever it lies.
A line that is anything else makes the bundle untrusted, as does a file that is listed but missing,
a link, or not a regular file: then the folder is not the one that was published.
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from aminet_runtime.errors import ModelInvalid, ModelUntrusted
from aminet_runtime.portable_name import is_portable_plain_name
from aminet_runtime.publish import write_whole

MANIFEST = "SHA256SUMS"
MAX_MANIFEST_BYTES = 64 * 1024  # ten lines of 80 bytes are usual
MAX_FILE_BYTES = 2**31  # a network of 500 million float32 weights

CASE_NO_BUNDLE = 3
CASE_MANIFEST = 1
CASE_NOT_LISTED = 2
CASE_NOT_THERE = 3
CASE_NOT_REGULAR = 4
CASE_TOO_LARGE = 5
CASE_HASH = 6
CASE_UNREADABLE = 8

_CHUNK_BYTES = 1 << 20
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>.+)")
_COPY_HINT = "copy the bundle again from where it was published"


def read_manifest(folder: Path) -> dict[str, str]:
    """Read SHA256SUMS.

    Returns:
        sha256 (hex) by file name.

    Raises:
        ModelInvalid: There is no such folder, or no SHA256SUMS in it.
        ModelUntrusted: A line is malformed, leaves the folder, or names a file twice or in a way
            that some system would not take.
    """
    if not os.path.lexists(folder / MANIFEST):
        raise ModelInvalid(
            f"this is no bundle: there is no {MANIFEST} in it",
            case=CASE_NO_BUNDLE,
            path=folder,
            hint="name the folder of an exported bundle",
        )
    with _open_regular(folder / MANIFEST) as file:
        data = _read(file, MAX_MANIFEST_BYTES + 1, path=folder / MANIFEST)
    return _parse_manifest(data, path=folder / MANIFEST)


def write_manifest(folder: Path, *, apart_from: Collection[str] = ()) -> None:
    """Hash all files of a folder and write SHA256SUMS, in the order of their names.

    Args:
        folder: Whose files.
        apart_from: Names that the checksums are not about.

    Raises:
        ModelUntrusted: The folder holds something that a bundle may not hold.
        OutputNotWritable: SHA256SUMS cannot be written.
    """
    left_out = {MANIFEST, *apart_from}
    names = sorted(entry.name for entry in folder.iterdir() if entry.name not in left_out)
    lines = [f"{hash_file(folder / name)}  {name}\n" for name in names]
    data = "".join(lines).encode("utf-8", "surrogateescape")
    _parse_manifest(data, path=folder / MANIFEST)
    write_whole(folder / MANIFEST, data)


def read_verified(folder: Path, name: str, *, hashes: Mapping[str, str]) -> bytes:
    """Read a file once, and return its bytes only if they are the published ones.

    Args:
        folder: The bundle.
        name: A file that the manifest lists.
        hashes: What `read_manifest` returned.

    Raises:
        ModelUntrusted: The file is not listed, not there, no regular file, or was changed.
    """
    data = b"".join(_chunks(folder / name))
    _compare(hashlib.sha256(data).hexdigest(), name, hashes=hashes, path=folder / name)
    return data


def verify(folder: Path, name: str, *, hashes: Mapping[str, str]) -> None:
    """Compare a file with its hash without keeping it; raises as `read_verified` does."""
    _compare(hash_file(folder / name), name, hashes=hashes, path=folder / name)


def hash_file(path: Path) -> str:
    """Return the sha256 (hex) of a regular file.

    Raises:
        ModelUntrusted: It is not there, no regular file, or too large.
    """
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _parse_manifest(data: bytes, *, path: Path) -> dict[str, str]:
    hashes: dict[str, str] = {}
    seen: set[str] = set()
    *lines, rest = data.decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None or not is_portable_plain_name(match["name"]):
            raise _malformed(f"line {number} is not a checksum of a file in this folder", path)
        if match["name"].casefold() in seen:  # Windows and macOS do not tell cases apart
            raise _malformed(f"line {number} names a file a second time", path)
        seen.add(match["name"].casefold())
        hashes[match["name"]] = match["sha256"]
    if rest or len(data) > MAX_MANIFEST_BYTES:
        raise _malformed("the end is missing", path)
    return hashes


def _malformed(message: str, path: Path) -> ModelUntrusted:
    return ModelUntrusted(message, case=CASE_MANIFEST, path=path, hint=_COPY_HINT)


def _compare(found: str, name: str, *, hashes: Mapping[str, str], path: Path) -> None:
    if name not in hashes:
        raise ModelUntrusted(
            f"the file is not listed in {MANIFEST}",
            case=CASE_NOT_LISTED,
            path=path,
            hint=_COPY_HINT,
        )
    if found != hashes[name]:
        raise ModelUntrusted(
            "the file is not the published one: its hash differs",
            case=CASE_HASH,
            path=path,
            hint=_COPY_HINT,
        )


def _chunks(path: Path) -> Iterator[bytes]:
    """Read a regular file forward, up to the largest size that is allowed."""
    total = 0
    with _open_regular(path) as file:
        while chunk := _read(file, _CHUNK_BYTES, path=path):
            total += len(chunk)
            if total > MAX_FILE_BYTES:
                raise ModelUntrusted(
                    f"the file has more than {MAX_FILE_BYTES} bytes",
                    case=CASE_TOO_LARGE,
                    path=path,
                    hint=_COPY_HINT,
                )
            yield chunk


def _read(file: BinaryIO, count: int, *, path: Path) -> bytes:
    try:
        return file.read(count)
    except OSError as cause:
        raise ModelUntrusted(
            f"the file cannot be read ({cause.strerror})",
            case=CASE_UNREADABLE,
            path=path,
            hint="check the disk or the network drive, and copy the bundle again",
        ) from cause


def _open_regular(path: Path) -> BinaryIO:
    """Open a file that is no link, without waiting for a FIFO that nobody writes to."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_NOCTTY", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    try:
        if stat.S_ISLNK(path.lstat().st_mode):  # for systems without O_NOFOLLOW
            raise _not_regular(path)
        descriptor = os.open(path, flags)
    except FileNotFoundError as cause:
        raise ModelUntrusted(
            f"the file is listed in {MANIFEST}, but it is not there",
            case=CASE_NOT_THERE,
            path=path,
            hint=_COPY_HINT,
        ) from cause
    except OSError as cause:
        raise _not_regular(path) from cause
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # Python would not make a file of a folder, and not close it either
        raise _not_regular(path)
    return os.fdopen(descriptor, "rb", buffering=0)


def _not_regular(path: Path) -> ModelUntrusted:
    return ModelUntrusted(
        "this is a link, not a regular file, or may not be read",
        case=CASE_NOT_REGULAR,
        path=path,
        hint=_COPY_HINT,
    )
