# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom probe`: can the regions be guessed without seeing a clot?"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from aminet_benchmarks.phantom.commands.options import add_jobs_option, add_preset_option
from aminet_benchmarks.phantom.config import preset_config
from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

PROG = "aminet-phantom probe"
SUMMARY = "look for shortcuts: guess the regions from pose, and from masked vessels"
DESCRIPTION = (
    "Train small networks that see only the pose of the head, or slices whose vessels are painted "
    "over, and measure what they guess of new patients beside the commonest regions."
)
EXAMPLE = """example:
  aminet-phantom probe --train 150 --test 60"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    parser.add_argument("--train", type=int, default=150, metavar="N", help="default 150")
    parser.add_argument("--test", type=int, default=60, metavar="N", help="default 60")
    add_preset_option(parser)
    add_jobs_option(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _probe(options), debug=options.debug)


def _probe(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.probe.study import SHAPE, StudyPlan, study, study_table

    if min(options.train, options.test) < 2:
        raise UsageError("--train and --test must be 2 patients or more")
    if options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs} is below 1")
    plan = StudyPlan(
        config=preset_config(options.preset, shape=SHAPE),
        train_patients=options.train,
        test_patients=options.test,
        jobs=options.jobs,
    )
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        rows = study(plan, on_progress=on_progress)
    if options.json:
        figures = {name: {k: asdict(v) for k, v in row.items()} for name, row in rows.items()}
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    else:
        sys.stdout.write(study_table(rows))
    return 0
