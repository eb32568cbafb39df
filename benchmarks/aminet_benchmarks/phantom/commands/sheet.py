# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom sheet`: a picture of some patients."""

import argparse
import sys
from collections.abc import Sequence

from aminet_benchmarks.phantom.commands.options import add_picture_options, config_of
from aminet_runtime.console import command_parser, progress_bar, run_command

PROG = "aminet-phantom sheet"
SUMMARY = "draw some patients: MIPs of each phase, clot, atlas, SPIRAL-like map"
DESCRIPTION = (
    "Draw some patients into one PNG, one a line: axial MIPs of the three phases and a coronal "
    "MIP without bone, the clot, the atlas and the SPIRAL-like map."
)
EXAMPLE = """example:
  aminet-phantom sheet sheet.png --seeds 3 7 0 1"""
SEEDS = (4, 7, 8, 12, 11, 23)


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    add_picture_options(parser, seeds=SEEDS)
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _sheet(options), debug=options.debug)


def _sheet(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.patient import make_patient
    from aminet_benchmarks.phantom.pictures.sheet import draw_sheet
    from aminet_runtime.publish import require_writable_folder

    require_writable_folder(options.picture.parent)
    patients = [make_patient(seed, config_of(options)) for seed in options.seeds]
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        draw_sheet(patients, options.picture, on_progress=on_progress)
    sys.stdout.write(f"{options.picture}\n")
    return 0
