# SPDX-License-Identifier: Apache-2.0
"""`aminet-evaluate`: models side by side on one split, at both levels."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

DESCRIPTION = """\
Score a split with one or several models, and compare their decisions with the truth at two levels:
(slice, region) pairs and (patient, region) pairs. Precision, recall and F1 with 95 % intervals,
accuracy, average precision (AP), the four counts, and "exact": the share of patients whose set of
regions was found without a miss and without a false alarm.

A model is a checkpoint folder (of aminet-train), a bundle folder (of aminet-export) or an ensemble
folder. Its thresholds are its own, chosen on validation patients before; the split that is
evaluated chooses nothing. Each model takes those of the cohorts that were prepared as it reads
them, so models of different channels stand side by side: give all of their cohorts to --data."""

EXAMPLE = """\
examples:
  aminet-evaluate runs/mobilenetv2-1/checkpoint --data prepared
  aminet-evaluate runs/spiral/checkpoint cnn=runs/simple_cnn-2/checkpoint --data prepared \\
                  prepared-spiral -o report
  aminet-evaluate runs/cnn/checkpoint --data prepared --twins prepared-twins \\
                  --compare known-trees=prepared-known-trees --json

REPORT_DIR gets report.md, report.json, precision-recall.png, reliability.png and, for each model,
mistakes-NAME.png with its worst false alarms and misses and hits-NAME.png with some of what it
found. docs/evaluation.md explains them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-evaluate."""
    parser = command_parser("aminet-evaluate", DESCRIPTION, EXAMPLE)
    _add_inputs(parser)
    _add_outputs(parser)
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _evaluate(options), debug=options.debug)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        metavar="[NAME=]MODEL",
        help="checkpoint, bundle or ensemble; NAME in tables, default: its run or folder",
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="PREPARED",
        help="folders of aminet-prepare; a bundle needs their validation patients, too",
    )
    parser.add_argument(
        "--split",
        choices=("train", "validation", "test"),
        default="test",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="NAME=PREPARED",
        help="another set of patients, a row of its own: e.g. new patients on known arterial trees "
        "beside new trees; may be repeated, also with one NAME",
    )
    parser.add_argument(
        "--twins",
        type=Path,
        nargs="+",
        default=[],
        metavar="PREPARED",
        help="the same patients without their clots (aminet-phantom --twin none, prepared): "
        "which flags go with the clot?",
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, metavar="REPORT_DIR", help="write report and plots here"
    )
    parser.add_argument(
        "--save-scores",
        type=Path,
        metavar="DIR",
        help="write every patient's probabilities as npz, to compute all counts again",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown, with all regions")


def _evaluate(options: argparse.Namespace) -> int:
    compare: dict[str, tuple[Path, ...]] = {}
    for text in options.compare:
        name, path = _named(text)
        if name is None:
            raise UsageError(f"--compare {text} has no name", hint="write NAME=PREPARED")
        compare[name] = (*compare.get(name, ()), path)

    from aminet_train.cohort.splits import Split
    from aminet_train.judging.evaluation import EvaluationPlan, evaluate
    from aminet_train.judging.evaluation_files import write_evaluation
    from aminet_train.judging.report_tables import markdown_report, text_report

    plan = EvaluationPlan(
        models=tuple(_named(text) for text in options.models),
        data=tuple(options.data),
        split=Split(options.split),
        compare=compare,
        twins=tuple(options.twins),
        scores=options.save_scores,
    )
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        evaluation = evaluate(plan, on_progress=on_progress)
    if options.output is not None:
        files = write_evaluation(options.output, evaluation)
        if not options.quiet:
            print(f"wrote {', '.join(file.name for file in files)}", file=sys.stderr)
    if options.json:
        print(json.dumps(evaluation.to_json(), indent=1))
    else:
        print(markdown_report(evaluation) if options.markdown else text_report(evaluation))
    return 0


def _named(text: str) -> tuple[str | None, Path]:
    """Split NAME=PATH; a path alone may hold an equals sign behind a slash."""
    name, equals, path = text.partition("=")
    is_named = bool(equals and name and path) and "/" not in name
    return (name, Path(path)) if is_named else (None, Path(text))
