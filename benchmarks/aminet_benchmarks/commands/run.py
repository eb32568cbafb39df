# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark run`: one patient, cold and warm, stage by stage."""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence

from aminet_benchmarks.commands.options import (
    add_bundle_option,
    add_cores_option,
    add_output_options,
    add_patient_option,
    cores_of,
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

PROG = "aminet-benchmark run"
SUMMARY = "one patient, cold and warm, stage by stage"
EXAMPLE = """example:
  aminet-benchmark run --patient demo/p0700000 --isa avx2 -o results"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"Measure {SUMMARY}.", EXAMPLE)
    add_patient_option(parser)
    add_bundle_option(parser)
    parser.add_argument("--rounds", type=int, default=5, help="processes; default 5")
    parser.add_argument("--isa", default="native", metavar="SET", help="native, avx2, ...")
    add_cores_option(parser)
    add_output_options(parser)
    return run_verb(PROG, parser, argv, _run)


def _run(options: argparse.Namespace, command: str) -> int:
    from aminet_benchmarks.machine import describe_machine, isa_environment, machine_line
    from aminet_benchmarks.measure import run_interleaved
    from aminet_benchmarks.ways import our_command

    bundle = verified_bundle(options.bundle)
    cores = cores_of(options)
    require_place(options.output)
    threads = len(cores)
    machine = describe_machine(cores=cores)
    staged = [sys.executable, "-m", "aminet_benchmarks.staged_run"]
    with patient_of(options) as patient, progress_bar("run", quiet=options.quiet) as on_progress:
        whole, stages = run_interleaved(
            {
                "aminet-run": our_command([patient], bundle, threads=threads),
                "staged": [*staged, str(patient), str(bundle), str(threads)],
            },
            rounds=require_count("--rounds", options.rounds),
            cores=cores,
            environment=isa_environment(options.isa),
            on_progress=on_progress,
        )
    medians = _medians([json.loads(run.output) for run in stages.runs])
    process = whole.to_json()
    values = to_json({"isa": options.isa, "process": process, "ms": medians, "machine": machine})
    text = f"{_table(medians)}\n\n{_process_table(process)}"
    about = machine_line(machine)
    text_page = page(f"One patient, {options.isa}", command, about, text)
    write_outputs(options.output, {"run.md": text_page, "run.json": values})
    print(values if options.json else f"{text}\n\n{about}")
    return 0


def _medians(found: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        kind: {name: statistics.median(one[kind][name] for one in found) for name in found[0][kind]}
        for kind in ("cold", "warm")
    }


def _table(medians: dict[str, dict[str, float]]) -> str:
    lines = ["| ms | cold | warm |", "|---|---|---|"]
    lines += [
        f"| {name} | {cold:.1f} | {medians['warm'][name]:.1f} |"
        for name, cold in medians["cold"].items()
    ]
    return "\n".join(lines)


def _process_table(process: Mapping[str, object]) -> str:
    """Return the whole process, and its memory by two observers: they should agree."""
    rows = {
        "wall, s": "wall_s",
        "wall without the queue for a processor, s": "undisturbed_s",
        "processor time, s": "cpu_s",
        "peak memory of the process tree by psutil, MiB": "tree_rss_mib",
        "peak memory of the process by the kernel, MiB": "kernel_rss_mib",
    }
    lines = ["| whole process | median |", "|---|---|"]
    lines += [f"| {label} | {process[key]:.4g} |" for label, key in rows.items()]
    return "\n".join(lines)
