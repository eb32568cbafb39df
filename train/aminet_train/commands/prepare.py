# SPDX-License-Identifier: Apache-2.0
"""`aminet-prepare`: patient folders to network inputs and labels."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.console import command_parser, progress_bar, run_command

EXAMPLE = "example: aminet-prepare cohort -o prepared --channels arterial --jobs 2"

CHANNELS = ("cta", "arterial", "mcta", "spiral", "cta+spiral")
EXIT_REFUSED = 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-prepare."""
    parser = command_parser(
        "aminet-prepare", "Turn patient folders into network inputs and labels.", EXAMPLE
    )
    parser.add_argument("cohort", type=Path, help="folder of patient folders")
    parser.add_argument("-o", "--output", type=Path, required=True, help="prepared cohort")
    parser.add_argument("--channels", choices=CHANNELS, default="cta", help="default: %(default)s")
    parser.add_argument("--size", type=int, default=224, help="pixels, default: %(default)s")
    parser.add_argument("--jobs", type=int, default=1, help="processes, default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the splits, default: %(default)s")
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _prepare(options), debug=options.debug)


def _prepare(options: argparse.Namespace) -> int:
    from aminet_train.prepare import PreparePlan, prepare_cohort
    from aminet_train.preprocessing import PreprocessingConfig

    size_px = (options.size, options.size)
    plan = PreparePlan(
        root=options.output,
        preprocessing=PreprocessingConfig.from_preset(options.channels, size_px=size_px),
    )
    with progress_bar("prepare", quiet=options.quiet) as on_progress:
        refusals = prepare_cohort(
            options.cohort, plan, seed=options.seed, jobs=options.jobs, on_progress=on_progress
        )
    for refusal in refusals:
        print(f"refused {refusal.patient_id}: {refusal.reason}", file=sys.stderr)
    return EXIT_REFUSED if refusals else 0
