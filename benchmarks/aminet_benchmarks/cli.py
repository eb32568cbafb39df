# SPDX-License-Identifier: Apache-2.0
"""The command aminet-benchmark: parse, call, print."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.bundle import default_bundle_path
from aminet_runtime.console import command_parser, progress_bar, run_command

EXAMPLE = "example: aminet-benchmark compare --patient demo/p0700000 --rounds 5"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-benchmark."""
    parser = command_parser("aminet-benchmark", "Measure time and memory of whole runs.", EXAMPLE)
    verbs = parser.add_subparsers(dest="verb", required=True)
    compare = verbs.add_parser("compare", help="aminet-run beside other ways, interleaved")
    compare.add_argument("--patient", type=Path, required=True, help="patient folder")
    compare.add_argument("--bundle", type=Path, help="default: the one that is shipped")
    compare.add_argument("--rounds", type=int, default=5, help="counted runs of each way")
    compare.add_argument("--cores", type=int, nargs="+", default=[0], help="processors to use")
    compare.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _compare(options), debug=options.debug)


def _compare(options: argparse.Namespace) -> int:
    from aminet_benchmarks.compare import compare_ways, comparison_table

    with progress_bar("compare", quiet=options.quiet) as on_progress:
        comparison = compare_ways(
            options.patient,
            options.bundle or default_bundle_path(),
            rounds=options.rounds,
            cores=options.cores,
            on_progress=on_progress,
        )
    if options.json:
        print(json.dumps(comparison.to_json(), indent=1))
        return 0
    print(comparison_table(comparison))
    print(f"largest difference of a probability: {comparison.largest_difference:.2g}")
    return 0
