# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom fetch-anatomy`: real anatomy from its public sources."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from aminet_benchmarks.phantom.real.sources import RAW_HOST
from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

PROG = "aminet-phantom fetch-anatomy"
SUMMARY = "get the files of real anatomy for --anatomy from their public sources"
DESCRIPTION = (
    "Download 41 traced arterial trees (BraVa by way of INSIST, BSD-3) and a head-CT template "
    "(Clinical, BSD-2), 5 MB in all, verify their SHA-256, and convert them for --anatomy. "
    "Needs the network; nothing that is made from the folder does."
)
EXAMPLE = """example:
  aminet-phantom fetch-anatomy anatomy
  aminet-phantom cohort --anatomy anatomy --patients 20

Without a network: docs/phantom.md lists the files and the layout, to be got by hand."""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    parser.add_argument("folder", type=Path, metavar="DIR", help="new folder for the files")
    parser.add_argument(
        "--host", default=RAW_HOST, metavar="URL", help="a mirror with the same paths behind it"
    )
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _fetch(options), debug=options.debug)


def _fetch(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.real.fetch import fetch_anatomy

    _require_address(options.host)
    with progress_bar("files", quiet=options.quiet) as on_progress:
        fetch_anatomy(options.folder, host=options.host.rstrip("/"), on_progress=on_progress)
    sys.stdout.write(f"{options.folder}\n")
    return 0


def _require_address(host: str) -> None:
    """Refuse what urllib would end at in ways of its own."""
    if not host.startswith(("http://", "https://")):
        raise UsageError(f"--host {host} is neither http:// nor https://")
    try:
        is_address = bool(urlsplit(host).hostname) and host.isascii()
    except ValueError:
        is_address = False
    if not is_address:
        raise UsageError(f"--host {host} is no address", hint="write it as http://HOST/PATH")
