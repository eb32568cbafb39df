# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom`: make phantom patients."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.console import command_parser, progress_bar, run_command

PROG = "aminet-phantom"
DESCRIPTION = (
    "Make digital phantoms of stroke mCTA: one folder a patient with three phases, atlas, "
    "SPIRAL-like map and clot. Results on phantoms say nothing about patients."
)
EXAMPLE = """example:
  aminet-phantom cohort --patients 20 --seed 1 --jobs 2
  aminet-phantom twins --patients 20 --seed 1 --twin none     the same heads without clots

A cohort that was interrupted goes on where it stopped."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(argv)
    return run_command(PROG, lambda: _make(options), debug=options.debug)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    parser.add_argument("folder", type=Path, metavar="OUT", help="folder for the cohort")
    parser.add_argument("--patients", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")
    parser.add_argument(
        "--shape",
        type=int,
        nargs=3,
        default=(512, 512, 257),
        metavar=("I", "J", "K"),
        help="columns, rows, slices; default 512 512 257",
    )
    parser.add_argument("--preset", default="report", metavar="NAME", help="report or hard")
    parser.add_argument(
        "--twin",
        choices=("none", "mirror"),
        default="self",
        help="write the same heads without clots, or with the clots on the other side",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="P", help="processes; default 1")
    return parser


def _make(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.cohort import CohortPlan, write_cohort
    from aminet_benchmarks.phantom.config import preset_config

    plan = CohortPlan(
        folder=options.folder,
        patients=options.patients,
        seed=options.seed,
        config=preset_config(options.preset, shape=tuple(options.shape)),
        twin=options.twin,
        jobs=options.jobs,
    )
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        folders = write_cohort(plan, on_progress=on_progress)
    sys.stdout.writelines(f"{folder}\n" for folder in folders)
    return 0
