# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark data`: the loader beside networks, preparation beside gunzip."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aminet_benchmarks.commands.options import require_count
from aminet_runtime.console import command_parser, run_command
from aminet_runtime.errors import UsageError

PROG = "aminet-benchmark data"
SUMMARY = "the loader beside networks, preparation beside gunzip"
EXAMPLE = """example:
  aminet-benchmark data --prepared prepared --patient demo/p0700000"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"Measure {SUMMARY}.", EXAMPLE)
    parser.add_argument("--prepared", type=Path, help="prepared cohort, for the loader")
    parser.add_argument("--window", type=int, choices=(1, 3, 5), default=1, help="slices a window")
    parser.add_argument("--patient", type=Path, help="patient folder, for the preparation")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, the best counts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _data(options), debug=options.debug)


def _data(options: argparse.Namespace) -> int:
    from aminet_benchmarks.data_speed import loader_speed, prepare_speed
    from aminet_benchmarks.machine import describe_machine
    from aminet_train.preprocessing import PreprocessingConfig
    from aminet_train.slice_window import SliceWindow

    if options.prepared is None and options.patient is None:
        raise UsageError("nothing to measure", hint="give --prepared, --patient or both")
    rounds = require_count("--rounds", options.rounds)
    figures: dict[str, Any] = {"machine": describe_machine()}
    if options.prepared is not None:
        speed = loader_speed(options.prepared, SliceWindow(options.window), rounds=rounds)
        figures["slices_per_second"] = speed.to_json()
    if options.patient is not None:
        preprocessing = PreprocessingConfig.from_preset("cta")
        speed_of_patient = prepare_speed(options.patient, preprocessing, rounds=rounds)
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
