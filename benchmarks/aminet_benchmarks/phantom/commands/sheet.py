# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom sheet`: a picture of some patients."""

import argparse
import sys
from collections.abc import Sequence

from aminet_benchmarks.phantom.commands.options import (
    add_anatomy_options,
    add_picture_options,
    anatomy_request,
    config_of,
    seeds_of,
)
from aminet_runtime.console import command_parser, progress_bar, run_command

PROG = "aminet-phantom sheet"
SUMMARY = "draw some patients: MIPs of each phase, clot, atlas, SPIRAL-like map"
DESCRIPTION = (
    "Draw some patients into one PNG, one a line: axial MIPs of the three phases and a coronal "
    "MIP without bone, the clot, the atlas and the SPIRAL-like map. With --anatomy every second "
    "head is real."
)
EXAMPLE = """example:
  aminet-phantom sheet sheet.png --seeds 3 7 0 1
  aminet-phantom sheet sheet.png --anatomy anatomy       real heads beside grown ones"""
SEEDS = (4, 7, 8, 12, 11, 23)


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    add_picture_options(parser, seeds=SEEDS)
    add_anatomy_options(parser)
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _sheet(options), debug=options.debug)


def _sheet(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.patient import make_patient
    from aminet_benchmarks.phantom.pictures.sheet import draw_sheet
    from aminet_benchmarks.phantom.real.heads import requested_anatomy
    from aminet_runtime.publish import require_writable_folder

    seeds = seeds_of(options)
    config, real = config_of(options), anatomy_request(options)
    heads = [
        requested_anatomy(real if line % 2 else None, seed, config)
        for line, seed in enumerate(seeds)
    ]
    require_writable_folder(options.picture.parent)
    patients = [
        make_patient(seed, config, anatomy=head) for seed, head in zip(seeds, heads, strict=True)
    ]
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        draw_sheet(patients, options.picture, on_progress=on_progress)
    sys.stdout.write(f"{options.picture}\n")
    return 0
