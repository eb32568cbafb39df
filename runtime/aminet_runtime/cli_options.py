# SPDX-License-Identifier: Apache-2.0
"""What can be asked of `aminet-run`, from words to checked values."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from aminet_runtime.budget import Budget
from aminet_runtime.console import command_parser
from aminet_runtime.errors import UsageError
from aminet_runtime.threads import MAX_THREADS

PROG = "aminet-run"
ENGINES = ("openvino", "onnxruntime")  # of engines.choice, which is slow to import
SIZE_UNITS = {"MIB": 2**20, "GIB": 2**30, "MB": 10**6, "GB": 10**9}

CASE_ARGUMENT = 1
CASE_DOCTOR = 2
CASE_SKIP_DONE = 4

EPILOG = """\
examples:
  aminet-run scans/379                        the findings of one patient as a table
  aminet-run scans/* --output results         and results/<patient>/report.html for each
  aminet-run scans/* -o results --jobs 4 --skip-done     a cohort; goes on where it stopped
  aminet-run scans/379 --json --slices        for machines, with the probabilities of all slices
  aminet-run --doctor                         is this machine fit?

With --json each patient is one line of JSON on stdout, in the order of the arguments.

exit codes, of several patients the highest:
  0         done, whatever was found
  2         bad options
  3         warnings, with --strict
  10 to 14  a scan is missing, damaged, unsupported, inconsistent, or no head CT in HU
  20 to 22  the bundle is invalid, untrusted, or does not fit this machine
  30, 31    results cannot be written, or are there already
  40        over the time or the memory limit
  70, 1     a bug, please report it
  130, 143  interrupted, terminated

AMI-Net is not a medical device. A region that is not flagged may still hold a clot.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for; the fields are the options of `--help`."""

    patients: tuple[str, ...]
    bundle: Path | None
    output: Path | None
    engine: str
    threads: int | None
    budget: Budget
    json: bool
    slices: bool
    no_clobber: bool
    skip_done: bool
    jobs: int
    strict: bool
    doctor: bool
    quiet: bool
    verbose: bool
    debug: bool


def parse(words: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        UsageError: An option is unknown, or its value cannot be meant.
        SystemExit: `--help` or `--version` was asked for, and printed.
    """
    values = vars(_parser().parse_args(words))
    if values["doctor"] and values["patients"]:
        raise UsageError("--doctor takes no patients", case=CASE_DOCTOR, hint="leave one out")
    if values["skip_done"] and values["output"] is None:
        raise UsageError(
            "--skip-done looks for results in --output", case=CASE_SKIP_DONE, hint="name it"
        )
    budget = Budget(values.pop("time_limit"), values.pop("memory_limit"))
    return Options(patients=tuple(values.pop("patients")), budget=budget, **values)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(PROG, "Find the brain regions that hold a clot in a CTA.", EPILOG)
    parser.error = _refuse  # type: ignore[method-assign]  # one line, as for all other errors
    limits = Budget()
    add = parser.add_argument
    add("patients", nargs="*", metavar="patient_dir", help="folder with CTA2regA.nii.gz and so on")
    add("--bundle", type=Path, metavar="DIR", help="network to run (default: the one shipped)")
    add("--engine", choices=ENGINES, default=ENGINES[0], help="what runs it (default: %(default)s)")
    add("--json", action="store_true", help="print one line of JSON for each patient")
    add(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="write DIR/<patient>/result.json and report.html",
    )
    add("--slices", action="store_true", help="JSON has the probabilities of each slice, too")
    add("--no-clobber", action="store_true", help="keep results that are there already")
    add("--skip-done", action="store_true", help="take results that another run would repeat")
    add("--strict", action="store_true", help="exit with 3 if there are warnings")
    add("--threads", type=_threads, metavar="N", help="threads (default: as many as may be used)")
    add("--jobs", type=_count, default=1, metavar="N", help="patients at once, sharing the threads")
    add(
        "--time-limit",
        type=_seconds,
        default=limits.time_limit_s,
        metavar="SECONDS",
        help="for each patient (default: %(default)g)",
    )
    add(
        "--memory-limit",
        type=_size,
        default=limits.memory_limit_bytes,
        metavar="SIZE",
        help="for each process, such as 500MiB or 2GiB (default: 8GiB)",
    )
    add("--doctor", action="store_true", help="check this machine and the bundle, and exit")
    return parser


def _refuse(message: str) -> NoReturn:
    raise UsageError(message, case=CASE_ARGUMENT, hint=f"see {PROG} --help")


def _count(text: str) -> int:
    if not _is_whole_number(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _threads(text: str) -> int:
    if not _is_whole_number(text) or int(text) > MAX_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_THREADS}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _size(text: str) -> int:
    number = text.rstrip("BGIMbgim")
    factor = SIZE_UNITS.get(text[len(number) :].upper())
    if factor is None or not _is_whole_number(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500MiB or 2GiB")
    return int(number) * factor


def _is_whole_number(text: str) -> bool:
    """Whether a text is a number from 1 on of a length that means something."""
    return text.isascii() and text.isdigit() and len(text) < 12 and int(text) > 0
