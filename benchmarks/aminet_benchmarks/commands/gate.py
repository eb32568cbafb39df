# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark gate`: time, memory and answers against limits."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from aminet_benchmarks.commands.options import (
    add_bundle_option,
    add_core_option,
    add_limits_option,
    add_output_options,
    add_patient_option,
    core_of,
    page,
    patient_of,
    require_place,
    run_verb,
    to_json,
    verified_bundle,
    write_outputs,
)
from aminet_benchmarks.usual_phantom import FULL_SHAPE, SMALL_SHAPE
from aminet_runtime.console import command_parser
from aminet_runtime.errors import UsageError

PROG = "aminet-benchmark gate"
SUMMARY = "time, memory and answers against limits; exit code 23 if one is not met"
EXAMPLE = """examples:
  aminet-benchmark gate --patient demo/p0700000
  aminet-benchmark gate --smoke                        a small phantom and wide limits, for CI
  aminet-benchmark gate --limits ours.toml --patients held-out/*"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"Hold {SUMMARY}.", EXAMPLE)
    add_patient_option(parser)
    add_bundle_option(parser)
    add_limits_option(parser)
    parser.add_argument(
        "--smoke", action="store_true", help="wide limits, and a small phantom if no patient"
    )
    parser.add_argument(
        "--patients",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="held-out patients with truth, to measure the F1 of float and INT8 anew",
    )
    add_core_option(parser)
    add_output_options(parser)
    return run_verb(PROG, parser, argv, _gate)


def _gate(options: argparse.Namespace, command: str) -> int:
    from aminet_benchmarks.gate.checks import gate_table, judge, require_passed
    from aminet_benchmarks.gate.held_out import drops_of_export, measure_drops
    from aminet_benchmarks.gate.limits import DEFAULT_LIMITS, SMOKE_LIMITS, read_limits
    from aminet_benchmarks.gate.measurements import Bench, measure
    from aminet_benchmarks.machine import describe_machine, machine_line, played_isas
    from aminet_benchmarks.ways import Task

    limits = read_limits(options.limits or (SMOKE_LIMITS if options.smoke else DEFAULT_LIMITS))
    if options.patients and limits.answers.f1_drop is None:
        raise UsageError(
            "--patients would not be looked at: these limits have no f1_drop",
            hint="add f1_drop to --limits, or leave --patients out",
        )
    cores = core_of(options)
    bundle = verified_bundle(options.bundle)
    require_place(options.output)
    machine = describe_machine(cores=cores)
    with patient_of(options, SMALL_SHAPE if options.smoke else FULL_SHAPE) as patient:
        task = Task.of(patient, bundle)
        figures = measure(Bench(task, cores, limits))
    if limits.answers.f1_drop is not None:
        drops = (
            measure_drops(task.bundle, options.patients, cores=cores)
            if options.patients
            else drops_of_export(task.bundle)
        )
        figures |= {f"f1_drop, {level}s": drop for level, drop in drops.items()}
    checks = judge(figures, limits)
    played = f"instruction sets played: {', '.join(played_isas()) or 'none'}"
    text = f"{gate_table(checks)}\n\n{played}"
    values = to_json({"checks": [check.to_json() for check in checks], "machine": machine})
    text_page = page("Gate", command, machine_line(machine), text)
    write_outputs(options.output, {"gate.md": text_page, "gate.json": values})
    print(values if options.json else f"{text}\n{machine_line(machine)}")
    require_passed(checks)
    return 0
