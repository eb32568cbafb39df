# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark scaling`: time and memory against the size of the task."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_benchmarks.commands.options import (
    add_bundle_option,
    add_output_options,
    add_patient_option,
    cores_of,
    page,
    patient_of,
    require_place,
    run_verb,
    to_json,
    verified_bundle,
    write_outputs,
)
from aminet_runtime.console import command_parser, progress_bar

if TYPE_CHECKING:
    from aminet_benchmarks.scaling.curve import Curve

PROG = "aminet-benchmark scaling"
SUMMARY = "time and memory against slices, pixels, patients, threads, jobs; training and export"
MOST_CORES = 2
EXAMPLE = """examples:
  aminet-benchmark scaling --patient demo/p0700000 -o results     a quarter of an hour
  aminet-benchmark scaling --quick                                two minutes"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"Measure {SUMMARY}.", EXAMPLE)
    add_patient_option(parser)
    add_bundle_option(parser)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller points, once each")
    parser.add_argument(
        "--cores",
        type=int,
        nargs="+",
        default=sorted(os.sched_getaffinity(0))[:MOST_CORES],
        metavar="N",
        help="numbers of the processors to use; default: the first two",
    )
    add_output_options(parser)
    return run_verb(PROG, parser, argv, _scaling)


def _scaling(options: argparse.Namespace, command: str) -> int:
    from aminet_benchmarks.machine import describe_machine, machine_line
    from aminet_benchmarks.plots import scaling_plot
    from aminet_benchmarks.scaling.curve import curve_table

    cores = cores_of(options)
    require_place(options.output)
    machine = describe_machine(cores=cores)
    curves = _measure(options, cores)
    text = "\n\n".join(f"## {one.name.capitalize()}\n\n{curve_table(one)}" for one in curves)
    values = to_json({"curves": [curve.to_json() for curve in curves], "machine": machine})
    about = machine_line(machine)
    picture = scaling_plot(curves, title=f"aminet-run, {machine['cpu']}")
    text_page = page("Scaling", command, about, f"![curves](scaling.png)\n\n{text}")
    write_outputs(
        options.output,
        {"scaling.png": picture, "scaling.md": text_page, "scaling.json": values},
    )
    print(values if options.json else f"{text}\n\n{about}")
    return 0


def _measure(options: argparse.Namespace, cores: tuple[int, ...]) -> "list[Curve]":
    import tempfile

    from aminet_benchmarks.scaling.making import making_curves
    from aminet_benchmarks.scaling.patients import Workplace, patient_curves
    from aminet_benchmarks.scaling.plan import FULL, QUICK
    from aminet_benchmarks.ways import Task

    plan = (QUICK if options.quick else FULL).on(len(cores))
    bundle = verified_bundle(options.bundle)
    with (
        patient_of(options) as patient,
        tempfile.TemporaryDirectory(prefix="aminet-scaling-") as scratch,
        progress_bar("scaling", quiet=options.quiet) as on_progress,
    ):
        done = iter(range(1, plan.points + 1))

        def on_point(_curve: str) -> None:
            on_progress(next(done), plan.points)

        task = Task.of(patient, bundle)
        place = Workplace(task, cores, Path(scratch), plan.rounds, on_point)
        return [
            *patient_curves(place, plan),
            *making_curves(plan, Path(scratch), on_point=on_point),
        ]
