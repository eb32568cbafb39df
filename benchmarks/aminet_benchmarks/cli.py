# SPDX-License-Identifier: Apache-2.0
"""The command aminet-benchmark: parse, call, print."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aminet_benchmarks.commands import conformance
from aminet_runtime.bundle import default_bundle_path
from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

EXAMPLE = """examples:
  aminet-benchmark compare --patient demo/p0700000 --rounds 5
  aminet-benchmark data --prepared prepared --patient demo/p0700000"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-benchmark."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["conformance"]:
        return conformance.main(words[1:])
    parser = command_parser("aminet-benchmark", "Measure time and memory of whole runs.", EXAMPLE)
    verbs = parser.add_subparsers(dest="verb", required=True)
    compare = verbs.add_parser("compare", help="aminet-run beside other ways, interleaved")
    compare.add_argument("--patient", type=Path, required=True, help="patient folder")
    compare.add_argument("--bundle", type=Path, help="default: the one that is shipped")
    compare.add_argument("--rounds", type=int, default=5, help="counted runs of each way")
    compare.add_argument("--cores", type=int, nargs="+", default=[0], help="processors to use")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.set_defaults(run=_compare)
    data = verbs.add_parser("data", help="loader beside networks, preparation beside gunzip")
    data.add_argument("--prepared", type=Path, help="prepared cohort, for the loader")
    data.add_argument("--window", type=int, choices=(1, 3, 5), default=1, help="slices a window")
    data.add_argument("--patient", type=Path, help="patient folder, for the preparation")
    data.add_argument("--rounds", type=int, default=3, help="counted rounds, the best counts")
    data.add_argument("--json", action="store_true", help="print JSON")
    data.set_defaults(run=_data)
    verbs.add_parser("conformance", help=conformance.SUMMARY)
    options = parser.parse_args(words)
    return run_command(parser.prog, lambda: int(options.run(options)), debug=options.debug)


def _data(options: argparse.Namespace) -> int:
    from aminet_benchmarks.data_speed import loader_speed, prepare_speed
    from aminet_benchmarks.machine import describe_machine
    from aminet_train.preprocessing import PreprocessingConfig, SliceWindow

    if options.prepared is None and options.patient is None:
        raise UsageError("nothing to measure", hint="give --prepared, --patient or both")
    figures: dict[str, Any] = {"machine": describe_machine()}
    if options.prepared is not None:
        speed = loader_speed(options.prepared, SliceWindow(options.window), rounds=options.rounds)
        figures["slices_per_second"] = speed.to_json()
    if options.patient is not None:
        preprocessing = PreprocessingConfig.from_preset("cta")
        speed_of_patient = prepare_speed(options.patient, preprocessing, rounds=options.rounds)
        figures["seconds_per_patient"] = speed_of_patient.to_json()
    print(json.dumps(figures, indent=1) if options.json else _lines(figures))
    return 0


def _lines(figures: dict[str, Any]) -> str:
    lines = ["one core, processor time"]
    if speed := figures.get("slices_per_second"):
        lines.append(f"loader             {speed['loader']:8.0f} slices/s")
        for name, rate in speed["training"].items():
            scored = speed["scoring"][name]
            lines.append(f"{name:18s} {rate:8.0f} slices/s trained, {scored:.0f} scored")
        lines.append(f"the loader is {speed['headroom']:.1f} times as fast as the fastest training")
    if seconds := figures.get("seconds_per_patient"):
        lines.append(f"prepare            {seconds['prepare_s']:8.2f} s a patient")
        lines.append(f"gunzip alone       {seconds['gunzip_s']:8.2f} s a patient")
    return "\n".join(lines)


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
