# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom` and its sisters: make phantom patients, prepare them, measure them."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

PROG = "aminet-phantom"
DESCRIPTION = (
    "Make digital phantoms of stroke mCTA: one folder a patient with three phases, atlas, "
    "SPIRAL-like map and clot. Results on phantoms say nothing about patients."
)
EXAMPLE = """example:
  aminet-phantom cohort --patients 20 --seed 1 --jobs 2
  aminet-phantom twins --patients 20 --seed 1 --twin none     the same heads without clots

A cohort that was interrupted goes on where it stopped."""

VALIDATE_PROG = "aminet-phantom-validate"
VALIDATE_DESCRIPTION = (
    "Measure phantoms and print their figures beside real ones; exit code 23 if one is outside."
)
VALIDATE_EXAMPLE = """example:
  aminet-phantom-validate --patients 60"""


PREPARE_PROG = "aminet-phantom-prepare"
PREPARE_DESCRIPTION = (
    "Prepare phantoms for aminet-train as aminet-prepare would, without writing their volumes: "
    "one second a patient where only some slices are kept."
)
PREPARE_EXAMPLE = """example:
  aminet-phantom-prepare prepared-train --patients 1000 --seed 10 --channels arterial \\
                         --negatives 25 --jobs 2
  aminet-phantom-prepare prepared-val --patients 60 --seed 20 --channels arterial \\
                         --split validation --jobs 2"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(argv)
    return run_command(PROG, lambda: _make(options), debug=options.debug)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    _add_cohort_options(parser)
    parser.add_argument(
        "--twin",
        choices=("none", "mirror"),
        default="self",
        help="write the same heads without clots, or with the clots on the other side",
    )
    parser.add_argument(
        "--truth", action="store_true", help="print the regions with clot behind each folder"
    )
    return parser


def _add_cohort_options(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument("--jobs", type=int, default=1, metavar="P", help="processes; default 1")


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
    describe = _with_truth if options.truth else str
    sys.stdout.writelines(f"{describe(folder)}\n" for folder in folders)
    return 0


def _with_truth(folder: Path) -> str:
    from aminet_benchmarks.phantom.files import TRUTH_FILE

    truth = json.loads((folder / TRUTH_FILE).read_text(encoding="utf-8"))
    return f"{folder}: the truth is {', '.join(truth['region_names']) or 'no clot'}"


def prepare_main(argv: Sequence[str] | None = None) -> int:
    """Prepare phantoms for training without writing volumes, and return the exit code."""
    parser = command_parser(PREPARE_PROG, PREPARE_DESCRIPTION, PREPARE_EXAMPLE)
    _add_cohort_options(parser)
    parser.add_argument("--channels", default="cta", metavar="NAME", help="as in aminet-prepare")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="train")
    parser.add_argument(
        "--negatives",
        type=int,
        metavar="N",
        help="slices without clot to keep of each patient; default all",
    )
    options = parser.parse_args(argv)
    return run_command(PREPARE_PROG, lambda: _prepare(options), debug=options.debug)


def _prepare(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.config import preset_config
    from aminet_benchmarks.phantom.streamed import StreamedCohort, prepare_phantoms
    from aminet_train.prepare import PreparePlan
    from aminet_train.preprocessing import CHANNEL_PRESETS, PreprocessingConfig
    from aminet_train.splits import Split

    if options.channels not in CHANNEL_PRESETS:
        raise UsageError(
            f"--channels {options.channels} is unknown", hint=f"use {', '.join(CHANNEL_PRESETS)}"
        )
    cohort = StreamedCohort(
        patients=options.patients,
        seed=options.seed,
        config=preset_config(options.preset, shape=tuple(options.shape)),
        split=Split(options.split),
        jobs=options.jobs,
    )
    plan = PreparePlan(
        root=options.folder,
        preprocessing=PreprocessingConfig.from_preset(options.channels),
        negatives=options.negatives,
    )
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        prepare_phantoms(cohort, plan, on_progress=on_progress)
    return 0


def validate_main(argv: Sequence[str] | None = None) -> int:
    """Run the validation and return its exit code."""
    parser = command_parser(VALIDATE_PROG, VALIDATE_DESCRIPTION, VALIDATE_EXAMPLE)
    parser.add_argument("--patients", type=int, default=60, metavar="N", help="default 60")
    parser.add_argument("--preset", default="report", metavar="NAME", help="report or hard")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(argv)
    return run_command(VALIDATE_PROG, lambda: _validate(options), debug=options.debug)


def _validate(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.config import preset_config
    from aminet_benchmarks.phantom.validate import measure, require_credible, table

    if options.patients < 1:
        raise UsageError(f"--patients {options.patients} is below 1")
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        figures = measure(options.patients, preset_config(options.preset), on_progress=on_progress)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n" if options.json else table(figures))
    require_credible(figures)
    return 0
