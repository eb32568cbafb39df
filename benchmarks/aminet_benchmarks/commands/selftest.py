# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark selftest`: does the gate stop bad builds, each for its own reason?"""

import argparse
from collections.abc import Sequence

from aminet_benchmarks.commands.options import (
    add_bundle_option,
    add_core_option,
    add_limits_option,
    add_output_options,
    add_patient_option,
    core_of,
    page,
    patient_of,
    require_count,
    require_place,
    run_verb,
    to_json,
    verified_bundle,
    write_outputs,
)
from aminet_runtime.console import command_parser, progress_bar

PROG = "aminet-benchmark selftest"
SUMMARY = "the gate on builds that are worse on purpose; exit code 23 if it lets one through"
EXAMPLE = """examples:
  aminet-benchmark selftest --patient demo/p0700000            minutes, on an idle machine
  aminet-benchmark selftest --patient demo/p0700000 --good 5   the good build five times"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"Try {SUMMARY}.", EXAMPLE)
    add_patient_option(parser)
    add_bundle_option(parser)
    add_limits_option(parser)
    parser.add_argument(
        "--good", type=int, default=1, metavar="N", help="runs of the good build; default 1"
    )
    add_core_option(parser)
    add_output_options(parser)
    return run_verb(PROG, parser, argv, _selftest)


def _selftest(options: argparse.Namespace, command: str) -> int:
    from aminet_benchmarks.gate.limits import DEFAULT_LIMITS, read_limits
    from aminet_benchmarks.gate.measurements import Bench
    from aminet_benchmarks.gate.trial import require_told_apart, trial_table, try_builds
    from aminet_benchmarks.machine import describe_machine, machine_line
    from aminet_benchmarks.ways import Task

    limits = read_limits(options.limits or DEFAULT_LIMITS)
    good, cores = require_count("--good", options.good), core_of(options)
    bundle = verified_bundle(options.bundle)
    require_place(options.output)
    machine = describe_machine(cores=cores)
    with (
        patient_of(options) as patient,
        progress_bar("selftest", quiet=options.quiet) as on_progress,
    ):
        task = Task.of(patient, bundle)
        bench = Bench(task, cores, limits)
        trials = try_builds(bench, good=good, on_progress=on_progress)
    table = trial_table(trials)
    values = to_json({"builds": [one.to_json() for one in trials], "machine": machine})
    text_page = page("The gate on bad builds", command, machine_line(machine), table)
    write_outputs(options.output, {"selftest.md": text_page, "selftest.json": values})
    print(values if options.json else f"{table}\n\n{machine_line(machine)}")
    require_told_apart(trials)
    return 0
