# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark reference`: the source report's study on phantoms."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_benchmarks.commands.options import (
    require_count,
    require_place,
    run_verb,
    write_outputs,
)
from aminet_runtime.console import command_parser
from aminet_runtime.errors import UsageError

if TYPE_CHECKING:
    from aminet_benchmarks.reference.plan import StudyConfig
    from aminet_benchmarks.reference.stage import Record, Stage

PROG = "aminet-benchmark reference"
SUMMARY = "the source report's study on phantoms, from nothing to its tables; goes on where it was"
DESCRIPTION = """\
Repeat the source report's study on a cohort of phantoms, stage by stage, each stage one of our own
commands: 127 patients, their preparations, every approach by patients and two by slices (which
leaks), twins without clots, evaluations, and a page of tables. Stages that have ended are skipped,
one that was stopped goes on, and the first that fails ends the study and is named. Beside what a
stage writes lie its log (NAME.log) and its time (NAME.stage.json)."""
EXAMPLE = """examples:
  aminet-benchmark reference -o reference            two hours on one core, and 30 GB of disk
  aminet-benchmark reference -o reference --list     what it will type, and what has ended
  aminet-benchmark reference -o small --quick        a few small phantoms, one epoch: minutes
  aminet-benchmark reference -o reference --weights mobilenetv2.safetensors --padding same"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the study"
    )
    parser.add_argument("--list", action="store_true", help="print the stages and do nothing")
    parser.add_argument(
        "--stages", nargs="+", metavar="NAME", help="run these alone, as --list names them"
    )
    parser.add_argument("--quick", action="store_true", help="small, to see whether all goes well")
    _add_training_options(parser)
    return run_verb(PROG, parser, argv, _reference)


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        default="imagenet",
        metavar="imagenet|none|FILE",
        help="with which MobileNetV2 begins, as for aminet-train; default %(default)s",
    )
    parser.add_argument(
        "--padding",
        choices=("symmetric", "same"),
        default="symmetric",
        help="of MobileNetV2; same: for weights converted from TensorFlow; default %(default)s",
    )
    parser.add_argument(
        "--precision",
        choices=("32-true", "bf16-mixed"),
        default="32-true",
        help="of training, as for aminet-train; default %(default)s",
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="of training; default 1"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="P",
        help="processes that make and prepare patients; default 1",
    )


def _reference(options: argparse.Namespace, command: str) -> int:
    from aminet_benchmarks.machine import describe_machine, machine_line
    from aminet_benchmarks.reference.plan import study_stages
    from aminet_benchmarks.reference.run import run_stages

    config = _config(options)
    every = study_stages(config)
    chosen = _chosen(every, options.stages)
    if options.list:
        _print_stages(options.output, chosen)
        return 0
    require_place(options.output)
    about = machine_line(describe_machine())
    on_stage = _quiet if options.quiet else _tell
    run_stages(options.output, chosen, on_stage=on_stage)
    if options.stages is None:
        _write_page(options.output, every, command, about)
    return 0


def _config(options: argparse.Namespace) -> "StudyConfig":
    from dataclasses import replace

    from aminet_benchmarks.reference.plan import QUICK, StudyConfig

    is_file = Path(options.weights).is_file()
    return replace(
        QUICK if options.quick else StudyConfig(),
        weights=str(Path(options.weights).resolve()) if is_file else options.weights,
        padding=options.padding,
        precision=options.precision,
        threads=require_count("--threads", options.threads),
        jobs=require_count("--jobs", options.jobs),
    )


def _chosen(stages: "Sequence[Stage]", names: Sequence[str] | None) -> "list[Stage]":
    unknown = set(names or ()) - {stage.name for stage in stages}
    if unknown:
        raise UsageError(f"there is no stage {min(unknown)}", hint="see --list")
    return [stage for stage in stages if names is None or stage.name in names]


def _print_stages(root: Path, stages: "Sequence[Stage]") -> None:
    from aminet_benchmarks.reference.stage import read_record

    for stage in stages:
        record = read_record(root, stage)
        state = "ended" if record and record.ended else "stopped" if record else "to do"
        print(f"{stage.name} ({state})\n  {shlex.join(stage.command)}")


def _tell(number: int, count: int, stage: "Stage", record: "Record | None") -> None:
    state = (
        "begins" if record is None else f"{record.wall_s:.0f} s, of processor {record.cpu_s:.0f}"
    )
    print(f"[{number}/{count}] {stage.name}: {state}", file=sys.stderr, flush=True)


def _quiet(_number: int, _count: int, _stage: "Stage", _record: "Record | None") -> None:
    """Say nothing."""


def _write_page(root: Path, stages: "Sequence[Stage]", command: str, about: str) -> None:
    from aminet_benchmarks.commands.options import page
    from aminet_benchmarks.reference.tables import results

    text = page("Reference results", command, about, results(root, stages))
    write_outputs(root, {"results.md": text})
    print(root / "results.md")
