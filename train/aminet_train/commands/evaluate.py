# SPDX-License-Identifier: Apache-2.0
"""`aminet-evaluate`: a checkpoint's scores of a split, and their metrics."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aminet_runtime.console import command_parser, run_command

EXAMPLE = "example: aminet-evaluate runs/mobilenetv2-1/checkpoint --data prepared"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-evaluate."""
    parser = command_parser(
        "aminet-evaluate", "Score a split with a checkpoint, at both levels.", EXAMPLE
    )
    parser.add_argument("checkpoint", type=Path, help="folder that aminet-train wrote")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="prepared cohorts")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _evaluate(options), debug=options.debug)


def _evaluate(options: argparse.Namespace) -> int:
    from aminet_train.evaluate import evaluate_checkpoint
    from aminet_train.splits import Split

    report = evaluate_checkpoint(options.checkpoint, options.data, Split(options.split))
    print(json.dumps(report, indent=1) if options.json else _table(report))
    return 0


def _table(report: dict[str, Any]) -> str:
    lines = [
        f"{report['approach']} on {report['patients']} {report['split']} patients",
        f"{'level':<8} {'F1':>5} {'95 % interval':>15} {'prec.':>6} {'recall':>6} {'AP':>5}",
    ]
    for level in ("slice", "patient"):
        values = report[level]
        low, high = values["f1_ci95"]
        lines.append(
            f"{level:<8} {values['f1']:>5.3f} {f'{low:.3f} to {high:.3f}':>15} "
            f"{values['precision']:>6.3f} {values['recall']:>6.3f} "
            f"{values['average_precision']:>5.3f}"
        )
    lines.append(f"region sets found exactly: {report['patient']['exact']:.0%}")
    return "\n".join(lines)
