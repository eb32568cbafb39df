# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom signal`: how many pixels a clot changes, before any training."""

import argparse
import json
import sys
from collections.abc import Sequence

from aminet_benchmarks.phantom.commands.options import add_config_options, config_of
from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

PROG = "aminet-phantom signal"
SUMMARY = "count the pixels of 1 mm that a clot changes, by phase and region"
DESCRIPTION = (
    "Count the pixels of 1 mm that differ by more than 25 HU between a patient and its clot-free "
    "twin, on slices with clot in a region and on slices without: median over the patients."
)
EXAMPLE = """example:
  aminet-phantom signal --patients 30"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    parser.add_argument("--patients", type=int, default=30, metavar="N", help="default 30")
    add_config_options(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _signal(options), debug=options.debug)


def _signal(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.visible_change import measure_signal, signal_table

    if options.patients < 1:
        raise UsageError(f"--patients {options.patients} is below 1")
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        signal = measure_signal(options.patients, config_of(options), on_progress=on_progress)
    sys.stdout.write(json.dumps(signal, indent=2) + "\n" if options.json else signal_table(signal))
    return 0
