# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom differences`: a picture of what clots change, and the figure that bounds it."""

import argparse
import json
import sys
from collections.abc import Sequence

from aminet_benchmarks.phantom.commands.options import add_picture_options, config_of, seeds_of
from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import GateFailed, UsageError

PROG = "aminet-phantom differences"
SUMMARY = "draw what clots change against clot-free twins; exit code 23 if it is more"
DESCRIPTION = (
    "Draw patients less their clot-free twins, one a line and a phase a column, and count the "
    "voxels that differ outside of vessels and tissue in which flow names a difference."
)
EXAMPLE = """example:
  aminet-phantom differences differences.png --seeds 7 8 11"""
SEEDS = (7, 8, 11)
CASE_UNEXPLAINED = 10


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    add_picture_options(parser, seeds=SEEDS)
    parser.add_argument(
        "--step", type=int, default=1, metavar="N", help="compare one slice in N; default 1"
    )
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _differences(options), debug=options.debug)


def _differences(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.patient import make_patient
    from aminet_benchmarks.phantom.pictures.differences import compare_twins, draw_differences
    from aminet_runtime.publish import require_writable_folder

    if options.step < 1:
        raise UsageError(f"--step {options.step} is below 1")
    seeds = seeds_of(options)
    require_writable_folder(options.picture.parent)
    found = []
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        for seed in seeds:
            patient = make_patient(seed, config_of(options))
            found.append(compare_twins(patient, step=options.step))
            on_progress(len(found), len(seeds))
    draw_differences(found, options.picture)
    sys.stdout.writelines(f"{json.dumps(one.to_json())}\n" for one in found)
    if any(one.unexplained for one in found):
        raise GateFailed(
            "voxels differ where flow names no difference",
            case=CASE_UNEXPLAINED,
            hint="something besides the blood depends on the clot: find it, it is a shortcut",
        )
    return 0
