# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark compare`: aminet-run beside other ways, interleaved."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_benchmarks.commands.options import (
    add_core_option,
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
from aminet_benchmarks.ways import LABELS, Way
from aminet_runtime.console import command_parser, progress_bar

if TYPE_CHECKING:
    from aminet_benchmarks.compare import Comparison

PROG = "aminet-benchmark compare"
SUMMARY = "aminet-run beside other ways to answer, interleaved"
WAYS = [way.value for way in Way]
PLAYED_WAYS = [Way.OURS.value, Way.SCRIPT.value, Way.REPORT.value]
EXAMPLE = """examples:
  aminet-benchmark compare --patient demo/p0700000 --rounds 7 -o results
  aminet-benchmark untrained --model efficientformerv2 -o efficientformerv2-untrained-int8
  aminet-benchmark compare --bundle mobilenetv2-int8 efficientformerv2-untrained-int8 \\
                           --isa native avx2 -o results
                           two networks, and an older machine, against the floor"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"Measure {SUMMARY}.", EXAMPLE)
    add_patient_option(parser)
    parser.add_argument(
        "--bundle", type=Path, nargs="+", metavar="DIR", help="default: the one that is shipped"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="what the bundle was exported from: its answers are compared, too",
    )
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=WAYS,
        metavar="WAY",
        help=f"{', '.join(WAYS)}; default: all, and on an instruction set that is played those "
        f"that an older machine is judged by: {', '.join(PLAYED_WAYS)}",
    )
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each; default 5")
    parser.add_argument(
        "--isa",
        nargs="+",
        default=["native"],
        metavar="SET",
        help="native, avx2, ...; one that native is anyway is run once",
    )
    add_core_option(parser)
    add_output_options(parser)
    return run_verb(PROG, parser, argv, _compare)


def _compare(options: argparse.Namespace, command: str) -> int:
    from aminet_benchmarks.compare import (
        Request,
        compare_ways,
        comparison_table,
        summary_table,
        tell_apart,
    )
    from aminet_benchmarks.machine import NATIVE, describe_machine, distinct_isas, machine_line

    isas = distinct_isas(options.isa)
    same = sorted({isa.lower() for isa in options.isa}.difference(isas))
    cores, comparisons = core_of(options), []
    bundles = [verified_bundle(path) for path in options.bundle or [None]]
    require_place(options.output)
    machine = describe_machine(cores=cores)
    with patient_of(options) as patient:
        for bundle in bundles:
            for isa in isas:
                request = Request(
                    ways=_ways(options.ways, is_native=isa == NATIVE),
                    rounds=require_count("--rounds", options.rounds),
                    cores=cores,
                    isa=isa,
                    checkpoint=options.checkpoint,
                )
                with progress_bar("compare", quiet=options.quiet) as on_progress:
                    comparisons.append(
                        compare_ways(
                            patient, bundle, request, machine=machine, on_progress=on_progress
                        )
                    )
    comparisons = tell_apart(comparisons)
    text = "\n\n".join(
        [
            summary_table(comparisons),
            *(f"`{isa}` is what this machine plays natively." for isa in same),
            *(f"## {one.bundle}, {one.isa}\n\n{comparison_table(one)}" for one in comparisons),
        ]
    )
    values = to_json([one.to_json() for one in comparisons])
    title = "Comparison of ways to answer"
    about = machine_line(machine)
    plots = {f"comparison-{one.bundle}-{one.isa}.png": _plot(one) for one in comparisons}
    pictures = "\n".join(f"![{name}]({name})" for name in plots)
    text_page = page(title, command, about, f"{text}\n\n{pictures}")
    write_outputs(options.output, {**plots, "comparison.md": text_page, "comparison.json": values})
    print(values if options.json else f"{text}\n\n{about}")
    return 0


def _ways(chosen: Sequence[str] | None, *, is_native: bool) -> tuple[Way, ...]:
    names = chosen or (WAYS if is_native else PLAYED_WAYS)
    return tuple(way for way in Way if way is Way.OURS or way.value in names)


def _plot(comparison: "Comparison") -> bytes:
    from aminet_benchmarks.plots import time_and_memory_plot

    return time_and_memory_plot(
        {LABELS[way]: (runs.wall_s, runs.peak_rss_mib) for way, runs in comparison.runs.items()},
        floor_s=comparison.floor.wall_s,
        title=f"{comparison.bundle}, {comparison.floor.slices} slices, "
        f"{comparison.machine['cpu']}, {comparison.isa}",
    )
