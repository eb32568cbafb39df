# SPDX-License-Identifier: Apache-2.0
"""What all commands share: common options, one line an error, exit codes, a progress bar."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aminet_runtime.errors import AminetError
from aminet_runtime.version import VERSION

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
QUIET_SECONDS = 2.0
"""Work shorter than this shows no progress."""


def command_parser(prog: str, description: str, example: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every command has."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # whoever looks for --json among the words must find it
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no notes")
    parser.add_argument("-v", "--verbose", action="store_true", help="more notes on stderr")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    return parser


def run_command(prog: str, command: Callable[[], int], *, debug: bool = False) -> int:
    """Run a command and turn whatever ends it into an exit code and at most one line.

    Args:
        prog: Name of the command, which starts the line.
        command: Returns the exit code.
        debug: Print the traceback of an error, too.
    """
    try:
        return _run_and_tell(prog, command, debug=debug)
    except BrokenPipeError:  # the reader has gone: nowhere to say anything
        _silence_broken_streams()
        return EXIT_BROKEN_PIPE


def _run_and_tell(prog: str, command: Callable[[], int], *, debug: bool) -> int:
    try:
        code = command()
        sys.stdout.flush()
    except AminetError as error:
        if debug:
            traceback.print_exc()
        print(error_line(prog, error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return code


def _silence_broken_streams() -> None:
    """Let what a stream still holds go nowhere, so that its last flush does not fail again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def error_line(prog: str, error: AminetError) -> str:
    """Return `prog: error[E1102]: file: message; hint`."""
    return f"{prog}: error[{error.code}]: {error}"


@contextmanager
def progress_bar(label: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Draw done/total on stderr, on a terminal only and only where it takes a while.

    Yields:
        `on_progress(done, total)`.
    """
    started = time.monotonic()
    visible = sys.stderr.isatty() and not quiet
    drawn = False

    def on_progress(done: int, total: int) -> None:
        nonlocal drawn
        elapsed = time.monotonic() - started
        if visible and elapsed > QUIET_SECONDS:
            remaining = elapsed / max(done, 1) * (total - done)
            sys.stderr.write(f"\r{label}: {done}/{total}, {remaining:.0f} s left \033[K")
            sys.stderr.flush()
            drawn = True

    try:
        yield on_progress
    finally:
        if drawn:
            sys.stderr.write("\r\033[K")
