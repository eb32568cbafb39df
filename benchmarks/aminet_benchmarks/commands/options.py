# SPDX-License-Identifier: Apache-2.0
"""What several verbs ask for: a patient, a bundle, processors, and a folder for what was found."""

import argparse
import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aminet_benchmarks.usual_phantom import FULL_SHAPE, PHANTOM_SEED
from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.console import run_command
from aminet_runtime.errors import UsageError
from aminet_runtime.publish import require_writable_folder, write_whole
from aminet_runtime.signals import terminating_cleanly


def add_patient_option(parser: argparse.ArgumentParser) -> None:
    """Add the patient that is run."""
    parser.add_argument(
        "--patient",
        type=Path,
        metavar="FOLDER",
        help="patient folder; by default a full-size phantom is made for this run",
    )


def add_bundle_option(parser: argparse.ArgumentParser) -> None:
    """Add the bundle that is run."""
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="default: the one shipped")


def add_limits_option(parser: argparse.ArgumentParser) -> None:
    """Add what measurements are held against."""
    parser.add_argument("--limits", type=Path, metavar="FILE", help="TOML; default: those shipped")


def add_cores_option(parser: argparse.ArgumentParser) -> None:
    """Add the processors that runs are bound to."""
    _add_cores(parser, "numbers of the processors to use, one thread each; default: the first")


def add_core_option(parser: argparse.ArgumentParser) -> None:
    """Add the one processor that runs are bound to where they stand beside the alternatives."""
    _add_cores(
        parser,
        "number of the one processor to use: the alternatives have one thread; default: the first",
    )


def _add_cores(parser: argparse.ArgumentParser, meaning: str) -> None:
    parser.add_argument(
        "--cores",
        type=int,
        nargs="+",
        default=sorted(os.sched_getaffinity(0))[:1],
        metavar="N",
        help=meaning,
    )


def cores_of(options: argparse.Namespace) -> tuple[int, ...]:
    """Return the processors of `add_cores_option`.

    Raises:
        UsageError: This process may not use one of them.
    """
    usable = sorted(os.sched_getaffinity(0))
    absent = set(options.cores) - set(usable)
    if absent:
        raise UsageError(
            f"--cores {min(absent)} cannot be used here",
            hint=f"choose among {', '.join(map(str, usable))}",
        )
    return tuple(dict.fromkeys(options.cores))


def core_of(options: argparse.Namespace) -> tuple[int, ...]:
    """Return the one processor of `add_core_option`.

    Raises:
        UsageError: There are several, so that ours would have more threads than what it stands
            beside, or this process may not use it.
    """
    named = len(set(options.cores))
    if named > 1:
        raise UsageError(
            f"--cores names {named} processors, but the alternatives use one thread",
            hint="name one; aminet-benchmark run and scaling measure several",
        )
    return cores_of(options)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add where results go."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write table, JSON and plots here, too"
    )


def verified_bundle(path: Path | None) -> Path:
    """Return a bundle, or the one that is shipped, opened once: before a phantom is made for it.

    Raises:
        ModelInvalid: It cannot be read.
        ModelUntrusted: A file of it was changed.
    """
    bundle = path or default_bundle_path()
    Bundle.open(bundle)
    return bundle


@contextmanager
def patient_of(
    options: argparse.Namespace, shape: tuple[int, int, int] = FULL_SHAPE
) -> Iterator[Path]:
    """Yield the patient that was named, or a phantom that is gone afterwards."""
    if options.patient is not None:
        yield options.patient
        return
    import tempfile

    from aminet_benchmarks.phantom.cohort import CohortPlan, write_cohort
    from aminet_benchmarks.phantom.config import preset_config

    with tempfile.TemporaryDirectory(prefix="aminet-benchmark-") as folder:
        config = preset_config("report", shape=shape)
        plan = CohortPlan(Path(folder), patients=1, seed=PHANTOM_SEED, config=config, jobs=1)
        (patient,) = write_cohort(plan, on_progress=lambda _done, _total: None)
        yield patient


def run_verb(
    prog: str,
    parser: argparse.ArgumentParser,
    argv: Sequence[str],
    work: Callable[[argparse.Namespace, str], int],
) -> int:
    """Parse the words behind a verb, do its work, and return its exit code.

    A SIGTERM ends what is measured, too, and removes what was made for it.

    Args:
        prog: Command and verb.
        parser: Of the verb's words.
        argv: The words.
        work: Takes the options and the command as it was typed, and returns the exit code.
    """
    options = parser.parse_args(argv)
    command = shlex.join([*prog.split(), *argv])
    with terminating_cleanly():
        return run_command(prog, lambda: work(options, command), debug=options.debug)


def require_count(name: str, value: int) -> int:
    """Refuse a count below 1.

    Raises:
        UsageError: It is.
    """
    if value < 1:
        raise UsageError(f"{name} {value} is below 1", hint="use 1 or more")
    return value


def require_place(folder: Path | None) -> None:
    """Make sure that results can be written, before the work; there may be no folder to write to.

    Raises:
        OutputNotWritable: The folder cannot be made, is none, or takes no file.
    """
    if folder is not None:
        require_writable_folder(folder)


def write_outputs(folder: Path | None, contents: Mapping[str, bytes | str]) -> None:
    """Write files below a folder, each whole; do nothing without a folder."""
    if folder is None:
        return
    for name, content in contents.items():
        write_whole(folder / name, content.encode() if isinstance(content, str) else content)


def to_json(values: Any) -> str:
    """Return indented JSON that ends in a line break."""
    return json.dumps(values, indent=1) + "\n"


def page(title: str, command: str, machine: str, body: str) -> str:
    """Return a Markdown page that says how it was made."""
    return f"# {title}\n\nMade by `{command}`.\n\n{machine}.\n\n{body}\n"
