# SPDX-License-Identifier: Apache-2.0
"""The command aminet-export: parse, call, print."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.console import command_parser, run_command

EXAMPLE = (
    "example: aminet-export --checkpoint runs/mobilenetv2-1/checkpoint --data prepared --int8 \\\n"
    "             --parity-patient cohort/phantom-0007 -o mobilenetv2-int8"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-export."""
    parser = command_parser("aminet-export", "Turn a checkpoint into a bundle.", EXAMPLE)
    parser.add_argument("--checkpoint", type=Path, required=True, help="what aminet-train wrote")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="prepared cohorts")
    parser.add_argument(
        "--parity-patient",
        type=Path,
        required=True,
        help="patient folder on whose full-size slices all engines are compared",
    )
    parser.add_argument("-o", "--output", type=Path, help="default: MODEL-PRECISION")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32")
    parser.add_argument("--int8", action="store_const", const="int8", dest="precision")
    parser.add_argument("--no-onnx", action="store_true", help="leave the float ONNX twin out")
    parser.add_argument("--seed", type=int, default=0, help="of the calibration draw")
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _export(options), debug=options.debug)


def _export(options: argparse.Namespace) -> int:
    from aminet_runtime.engines.openvino_import import import_openvino

    import_openvino()  # first of all: it caps the instruction set and keeps telemetry out
    from aminet_export.parity import parity_table
    from aminet_export.pipeline import ExportPlan, export_bundle
    from aminet_runtime.metadata import Precision
    from aminet_train.checkpoint import load_info

    approach = load_info(options.checkpoint).approach
    plan = ExportPlan(
        checkpoint=options.checkpoint,
        data=tuple(options.data),
        output=options.output or Path(f"{approach}-{options.precision}"),
        precision=Precision(options.precision),
        parity_patient=options.parity_patient,
        keeps_onnx=not options.no_onnx,
        seed=options.seed,
    )
    report = export_bundle(plan, on_step=lambda name, s: _show(name, s, quiet=options.quiet))
    print(parity_table(report.parity))
    print(report.bundle)
    return 0


def _show(name: str, seconds: float, *, quiet: bool) -> None:
    if not quiet:
        print(f"{name}: {seconds:.1f} s", file=sys.stderr)
