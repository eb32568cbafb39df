# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom validate`: figures of phantoms beside real ones."""

import argparse
import json
import sys
from collections.abc import Sequence

from aminet_benchmarks.phantom.commands.options import add_preset_option
from aminet_benchmarks.phantom.config import preset_config
from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

PROG = "aminet-phantom validate"
SUMMARY = "measure phantoms beside real figures; exit code 23 if one is outside"
DESCRIPTION = (
    "Measure phantoms and print their figures beside real ones; exit code 23 if one is outside."
)
EXAMPLE = """example:
  aminet-phantom validate --patients 60"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    parser.add_argument("--patients", type=int, default=60, metavar="N", help="default 60")
    add_preset_option(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _validate(options), debug=options.debug)


def _validate(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.validate import measure, require_credible, table

    if options.patients < 1:
        raise UsageError(f"--patients {options.patients} is below 1")
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        figures = measure(options.patients, preset_config(options.preset), on_progress=on_progress)
    shown = json.dumps(figures, indent=2) + "\n" if options.json else table({"grown": figures})
    sys.stdout.write(shown)
    require_credible(figures)
    return 0
