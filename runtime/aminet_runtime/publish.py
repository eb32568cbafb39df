# SPDX-License-Identifier: Apache-2.0
"""Write a file or a folder whole or not at all.

What is to be published is built under a temporary name beside its place, flushed to the disk and
then renamed, which is atomic: a reader, a crash or a full disk never leaves half of it under the
final name. Temporary names tell which process made them, so that what a killed run left behind is
removed by the next one: `.result.json.81f3a6c2.0b1d93e7.4711.partial`, that is the final name, the
clock, the machine and the process id.
"""

import contextlib
import errno
import os
import platform
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from aminet_runtime.errors import AminetError, OutputExists, OutputNotWritable

TEMPORARY_SUFFIX = ".partial"
STALE_AFTER_S = 3600.0
"""Where only age can tell whether a temporary is still being filled: on other machines, and on ours
where there is no /proc."""

MAX_NAME_BYTES = 255
"""Longest file name on common file systems."""

_TEMPORARY_NAME = re.compile(
    r"\..*\.[0-9a-f]{8}\.(?P<machine>[0-9a-f]{8})\.(?P<process>\d+)\.partial"
)

_PROCESSES = Path("/proc")

CASE_NOT_WRITABLE = 1
CASE_NO_SPACE = 2
CASE_NOT_A_FOLDER = 3
CASE_NAME = 4

HINT_KEPT_FILE = "remove it, or drop --no-clobber"
HINT_FILLED_FOLDER = "remove it, or name another folder"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under its name only once it is complete; replace what is there.

    Args:
        path: Where to; missing folders above it are made.
        data: The whole content.

    Raises:
        OutputNotWritable: The disk or the permissions do not allow it; an old file is untouched.
    """
    with as_output_errors(path):
        _prepare_parent(path)
        temporary = _temporary_beside(path)
        try:
            _write_synced(temporary, data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Write a file under its name only once it is complete, unless there is one already.

    Raises:
        OutputExists: There is something of this name; it is untouched.
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    with as_output_errors(path):
        _prepare_parent(path)
        refuse_existing(path)
        temporary = _temporary_beside(path)
        try:
            _write_synced(temporary, data)
            _rename_to_new(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


@contextlib.contextmanager
def publish_folder(path: Path) -> Iterator[Path]:
    """Build a folder aside and give it its name once the block has ended well.

    Args:
        path: The folder's final place; it must not exist or be empty.

    Yields:
        The folder to fill. If the block raises, it is removed and nothing is published.

    Raises:
        OutputExists: There is a folder with something in it.
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    with as_output_errors(path):
        _prepare_parent(path)
        _refuse_filled(path)
        building = _temporary_beside(path)
        building.mkdir()
    try:
        yield building
        with as_output_errors(path):
            _sync_tree(building)
            _rename_folder(building, path)
            _sync_folder(path.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def refuse_existing(path: Path, *, hint: str = HINT_KEPT_FILE) -> None:
    """Raise OutputExists with this hint if there is something of this name, be it a broken link."""
    if os.path.lexists(path):
        raise OutputExists(
            "is there already, and is not to be replaced",
            case=1,
            path=path,
            hint=hint,
        )


def require_writable_folder(folder: Path) -> None:
    """Make the folder if it is missing and write a file into it for a moment.

    Done before long work, so that its result is not lost for want of a place.

    Raises:
        OutputNotWritable: The folder cannot be made, is none, or takes no file.
    """
    probe = folder / "probe"
    with as_output_errors(folder):
        _prepare_parent(probe)
        temporary = _temporary_beside(probe)
        try:
            _write_synced(temporary, b"probe")
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def as_output_errors(path: Path) -> Iterator[None]:
    """Translate what the operating system refuses in the block; errors of our own pass.

    Raises:
        OutputNotWritable: The disk or the permissions do not allow it, or the name cannot be.
    """
    try:
        yield
    except AminetError:  # some of ours are OSErrors, too
        raise
    except OSError as error:
        raise _translated(error, path) from error
    except ValueError as error:  # a null in the name
        raise _bad_name(path) from error


def _prepare_parent(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path.parent)


def _remove_stale(folder: Path) -> None:
    """Remove the temporaries of runs that were killed; one that resists is left for later."""
    for entry in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):
            if not _is_ours_to_remove(entry):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink()


def _is_ours_to_remove(entry: Path) -> bool:
    """Whether the process that made a temporary is gone, or, if nobody can tell, it is old."""
    name = _TEMPORARY_NAME.fullmatch(entry.name)
    if name is None:
        return False
    if name["machine"] == _machine_tag() and (_PROCESSES / "self").exists():
        return not (_PROCESSES / name["process"]).exists()
    return time.time() - entry.lstat().st_mtime > STALE_AFTER_S


def _machine_tag() -> str:
    """Eight digits that tell machines apart which share a folder."""
    return f"{zlib.crc32(platform.node().encode('utf-8', 'surrogateescape')):08x}"


def _temporary_beside(path: Path) -> Path:
    clock = time.perf_counter_ns() & 0xFFFFFFFF
    ending = f".{clock:08x}.{_machine_tag()}.{os.getpid()}{TEMPORARY_SUFFIX}"
    kept = os.fsencode(path.name)[: MAX_NAME_BYTES - len(ending) - 1]
    return path.with_name("." + kept.decode("utf-8", "ignore") + ending)


def _write_synced(path: Path, data: bytes) -> None:
    """Write a file of our own, which nobody made before us, and wait for the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Give the name only if nobody has it: a hard link fails where a rename would replace."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        refuse_existing(path)
        raise
    except OSError:  # a file system without hard links: a last look, then the rename
        refuse_existing(path)
        temporary.rename(path)


def _refuse_filled(path: Path) -> None:
    if path.is_dir() and not any(path.iterdir()):
        return
    refuse_existing(path, hint=HINT_FILLED_FOLDER)


def _sync_tree(folder: Path) -> None:
    for parent, _folders, names in os.walk(folder):
        for name in names:
            with (Path(parent) / name).open("rb+") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(parent))


def _rename_folder(building: Path, path: Path) -> None:
    """Rename onto a free name; an empty folder in the way goes first, as Windows wants it."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    building.rename(path)


def _sync_folder(folder: Path) -> None:
    """Let the rename itself reach the disk, where the system has a way to ask for that."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some network file systems refuse; the file is synced
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _translated(error: OSError, path: Path) -> OutputNotWritable:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return OutputNotWritable(
            "there is no space left", case=CASE_NO_SPACE, path=path, hint="free some"
        )
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        return OutputNotWritable(
            "a file or folder of this kind is in the way",
            case=CASE_NOT_A_FOLDER,
            path=path,
            hint="choose another place",
        )
    if error.errno in {errno.ENAMETOOLONG, errno.EINVAL}:
        return _bad_name(path)
    return OutputNotWritable(
        f"cannot be written ({error.strerror or error})",
        case=CASE_NOT_WRITABLE,
        path=path,
        hint="check the permissions and the disk",
    )


def _bad_name(path: Path) -> OutputNotWritable:
    return OutputNotWritable(
        "the file system does not take this name",
        case=CASE_NAME,
        path=path,
        hint='choose a shorter one, without any of < > : " | ? *',
    )
