# SPDX-License-Identifier: Apache-2.0
"""The command aminet-export: parse, call, print."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError
from aminet_runtime.portable_name import is_portable_plain_name

if TYPE_CHECKING:
    from aminet_export.ensemble import EnsembleReport
    from aminet_export.plan import ExportPlan, ExportReport
    from aminet_export.steps import StepReport

EXAMPLE = """example:
  aminet-export --model mobilenetv2 --int8          the newest run below runs/, and its data
  aminet-export --checkpoint runs/mobilenetv2-1/checkpoint --data prepared --int8 \\
                --parity-patient cohort/phantom-0007 -o mobilenetv2-int8
  aminet-export --model ensemble --int8             the newest ensemble, each member by its gate
  aminet-export --table mobilenetv2-fp32 mobilenetv2-int8      bundles side by side

exit codes: 23 means that the network was not good enough and nothing was published."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-export."""
    parser = command_parser("aminet-export", "Turn a checkpoint into a bundle.", EXAMPLE)
    _add_source_options(parser)
    _add_target_options(parser)
    parser.add_argument(
        "--table",
        type=Path,
        nargs="+",
        metavar="BUNDLE",
        help="export nothing: print size, speed on one core and figures of bundles that are there",
    )
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _export(options), debug=options.debug)


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", help="export the newest finished run of this approach; or the newest ensemble"
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="what aminet-train wrote: a checkpoint or an ensemble"
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        help="prepared cohorts, of an ensemble those of all members; default: those of the runs",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="default: %(default)s")
    parser.add_argument(
        "--parity-patient",
        type=Path,
        metavar="FOLDER",
        help="patient folder on whose full-size slices all stages are compared, too",
    )


def _add_target_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, help="default: MODEL-PRECISION")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32")
    parser.add_argument("--int8", action="store_const", const="int8", dest="precision")
    parser.add_argument(
        "--backend",
        choices=("openvino", "both"),
        default="both",
        help="both: the IR, and ONNX files for hosts with ONNX Runtime, of INT8 only if it loses "
        "no more than --max-drop; never these alone, see docs/decisions; default: %(default)s",
    )
    parser.add_argument(
        "--max-drop",
        type=float,
        default=0.01,
        metavar="F1",
        help="refuse a network that loses more at either level; default: %(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the calibration draw")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _export(options: argparse.Namespace) -> int:
    from aminet_runtime.engines.openvino_import import import_openvino

    import_openvino()  # first of all: it caps the instruction set and keeps telemetry out
    if options.table:
        from aminet_export.bundle_table import bundle_rows, rows_table

        rows = bundle_rows(options.table)
        print(json.dumps([asdict(row) for row in rows]) if options.json else rows_table(rows))
        return 0
    from aminet_export.ensemble import export_ensemble
    from aminet_export.pipeline import export_bundle
    from aminet_export.plan import Listeners
    from aminet_train.ensemble import is_ensemble

    plan = _plan(options)
    report: ExportReport | EnsembleReport
    with progress_bar("export", quiet=options.quiet) as on_progress:
        listeners = Listeners(
            on_step=lambda report: _show(report, quiet=options.quiet), on_progress=on_progress
        )
        if is_ensemble(plan.checkpoint):
            report = export_ensemble(plan, listeners)
        else:
            report = export_bundle(plan, listeners)
    print(json.dumps(report.to_json(), indent=1) if options.json else _table(report))
    return 0


def _plan(options: argparse.Namespace) -> "ExportPlan":
    from aminet_export.plan import Backend, ExportPlan
    from aminet_export.runs import ENSEMBLE, data_of, data_of_members, newest_run
    from aminet_runtime.metadata import Precision
    from aminet_train.checkpoint import load_info
    from aminet_train.ensemble import is_ensemble

    if (options.model is None) == (options.checkpoint is None):
        raise UsageError("name either --model or --checkpoint", hint="see --help for an example")
    checkpoint = options.checkpoint or newest_run(options.model, options.runs)
    if is_ensemble(checkpoint):
        approach, named = ENSEMBLE, options.data or data_of_members(checkpoint, options.runs)
    else:
        approach = load_info(checkpoint).approach
        named = options.data or data_of(checkpoint)
    return ExportPlan(
        checkpoint=checkpoint,
        data=tuple(named),
        output=_bundle_folder(options.output or Path(f"{approach}-{options.precision}")),
        precision=Precision(options.precision),
        backend=Backend(options.backend),
        max_drop=options.max_drop,
        parity_patient=options.parity_patient,
        seed=options.seed,
    )


def _bundle_folder(output: Path) -> Path:
    """Refuse, before the work, a name that no bundle may have."""
    if not is_portable_plain_name(output.name):
        raise UsageError(
            f"--output {output} has a name that not every system takes",
            hint="use letters, digits, dots, dashes and underscores, and no device of Windows",
        )
    return output


def _show(report: "StepReport", *, quiet: bool) -> None:
    if not quiet:
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        times = f"{report.seconds:.1f} s, {report.cpu_seconds:.1f} s of CPU"
        print(f"{clear}{report.name}: {report.result} ({times})", file=sys.stderr)


def _table(report: "ExportReport | EnsembleReport") -> str:
    from aminet_export.ensemble import EnsembleReport
    from aminet_export.ensemble_contents import votes_table
    from aminet_export.isa_sweep import sweep_table
    from aminet_export.parity import parity_table

    if isinstance(report, EnsembleReport):
        return f"{votes_table(report.voted)}\n{report.bundle}"
    verdict = report.verdict
    parts = [parity_table(verdict.full_size or verdict.parity), sweep_table(verdict.swept)]
    drops = verdict.drops or {}
    parts += [f"{level} level: {drop}" for level, drop in drops.items()]
    parts += [f"model-int8.onnx: {verdict.onnx_int8.summary}"] if verdict.onnx_int8 else []
    return "\n".join([*parts, str(report.bundle)])
