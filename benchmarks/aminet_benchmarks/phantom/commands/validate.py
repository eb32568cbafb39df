# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom validate`: figures of phantoms beside real ones."""

import argparse
import json
import sys
from collections.abc import Sequence

from aminet_benchmarks.phantom.commands.options import (
    add_anatomy_options,
    add_preset_option,
    anatomy_request,
)
from aminet_benchmarks.phantom.config import preset_config
from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

PROG = "aminet-phantom validate"
SUMMARY = "measure phantoms beside real figures; exit code 23 if one is outside"
DESCRIPTION = (
    "Measure phantoms and print their figures beside real ones; exit code 23 if one is outside."
)
EXAMPLE = """example:
  aminet-phantom validate --patients 60
  aminet-phantom validate --anatomy anatomy      grown and real heads side by side"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    parser.add_argument("--patients", type=int, default=60, metavar="N", help="default 60")
    add_preset_option(parser)
    add_anatomy_options(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _validate(options), debug=options.debug)


def _validate(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.anatomy import grow_anatomy
    from aminet_benchmarks.phantom.validate import (
        AnatomySource,
        measure,
        require_credible,
        table,
    )

    if options.patients < 1:
        raise UsageError(f"--patients {options.patients} is below 1")
    config = preset_config(options.preset)
    request = anatomy_request(options)
    sources: dict[str, AnatomySource] = {"grown": grow_anatomy}
    if request is not None:
        sources["real"] = request.heads().draw
    columns = {}
    for kind, anatomy_of in sources.items():
        with progress_bar(f"{kind} patients", quiet=options.quiet) as on_progress:
            columns[kind] = measure(
                options.patients, config, anatomy_of=anatomy_of, on_progress=on_progress
            )
    shown = columns["grown"] if request is None else columns
    sys.stdout.write(json.dumps(shown, indent=2) + "\n" if options.json else table(columns))
    for figures in columns.values():
        require_credible(figures)
    return 0
