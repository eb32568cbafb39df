# SPDX-License-Identifier: Apache-2.0
"""Get an anatomy folder from its public sources: whole and verified, or not at all."""

from collections.abc import Callable, Sequence
from pathlib import Path

from aminet_benchmarks.phantom.real.download import download
from aminet_benchmarks.phantom.real.folder import open_folder
from aminet_benchmarks.phantom.real.sources import RAW_HOST, Source, all_sources
from aminet_benchmarks.phantom.real.vtp import vtp_to_npz
from aminet_runtime.errors import InputUnsupported
from aminet_runtime.publish import as_output_errors, publish_folder

CASE_FORMAT = 75

Progress = Callable[[int, int], None]


def fetch_anatomy(
    folder: Path,
    *,
    host: str = RAW_HOST,
    sources: Sequence[Source] | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Download, verify and convert the files of real anatomy.

    Args:
        folder: New folder, in the layout that `--anatomy` takes.
        host: Where the sources are; a mirror has the same paths behind it.
        sources: What to fetch; by default all that the project knows.
        on_progress: Called with (files done, all files).

    Raises:
        InputMissing: There is no network, or a file is no longer at its source.
        InputDamaged: A file is not the one that it was.
        OutputExists: There is a folder with something in it.
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    wanted = all_sources() if sources is None else sources
    with publish_folder(folder) as building:
        for done, source in enumerate(wanted, start=1):
            target = building / source.target
            data = _fetch(source, host)
            with as_output_errors(folder):
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(data)
            if on_progress is not None:
                on_progress(done, len(wanted))
        open_folder(building)  # what is published can be used


def _fetch(source: Source, host: str) -> bytes:
    data = download(f"{host}/{source.url_path}", size=source.size, sha256=source.sha256)
    if not source.is_traced:
        return data
    try:
        return vtp_to_npz(data)
    except (ValueError, KeyError) as error:
        raise InputUnsupported(
            f"cannot be converted ({error})",
            case=CASE_FORMAT,
            path=source.url_path,
            hint="please report this",
        ) from error
