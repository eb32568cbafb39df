# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark run`: one patient, cold and warm, stage by stage."""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from aminet_benchmarks.commands.options import (
    add_cores_option,
    add_output_options,
    add_patient_option,
    patient_of,
    require_count,
    to_json,
    write_outputs,
)
from aminet_runtime.bundle import default_bundle_path
from aminet_runtime.console import command_parser, run_command

PROG = "aminet-benchmark run"
SUMMARY = "one patient, cold and warm, stage by stage"
EXAMPLE = """example:
  aminet-benchmark run --patient demo/p0700000 --isa avx2"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"Measure {SUMMARY}.", EXAMPLE)
    add_patient_option(parser)
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="default: the one shipped")
    parser.add_argument("--rounds", type=int, default=5, help="processes; default 5")
    parser.add_argument("--isa", default="native", metavar="SET", help="native, avx2, ...")
    add_cores_option(parser)
    add_output_options(parser)
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _run(options), debug=options.debug)


def _run(options: argparse.Namespace) -> int:
    from aminet_benchmarks.machine import describe_machine, isa_environment, machine_line
    from aminet_benchmarks.measure import run_interleaved
    from aminet_benchmarks.ways import our_command

    bundle = options.bundle or default_bundle_path()
    threads = len(options.cores)
    staged = [sys.executable, "-m", "aminet_benchmarks.staged_run"]
    with patient_of(options) as patient:
        whole, stages = run_interleaved(
            {
                "aminet-run": our_command([patient], bundle, threads=threads),
                "staged": [*staged, str(patient), str(bundle), str(threads)],
            },
            rounds=require_count("--rounds", options.rounds),
            cores=options.cores,
            environment=isa_environment(options.isa),
        )
    found = [json.loads(run.output) for run in stages.runs]
    medians = {
        kind: {name: statistics.median(one[kind][name] for one in found) for name in found[0][kind]}
        for kind in ("cold", "warm")
    }
    machine = describe_machine(cores=options.cores)
    values = {"isa": options.isa, "process": whole.to_json(), "ms": medians, "machine": machine}
    write_outputs(options.output, {"run.json": to_json(values)})
    print(to_json(values) if options.json else _table(medians))
    if not options.json:
        print(f"whole process {whole.wall_s:.2f} s, {whole.peak_rss_mib:.0f} MiB at the peak")
        print(machine_line(machine))
    return 0


def _table(medians: dict[str, dict[str, float]]) -> str:
    lines = ["| ms | cold | warm |", "|---|---|---|"]
    lines += [
        f"| {name} | {cold:.1f} | {medians['warm'][name]:.1f} |"
        for name, cold in medians["cold"].items()
    ]
    return "\n".join(lines)
