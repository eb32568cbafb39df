# SPDX-License-Identifier: Apache-2.0
"""`aminet-prepare`: patient folders to network inputs and labels."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError
from aminet_runtime.threads import available_threads
from aminet_train.commands.cache_options import add_cache_options, kept_of, preprocessing_of

DESCRIPTION = """Check every patient of a cohort, and turn slices and clot masks into network
inputs and labels for aminet-train.

COHORT is a folder of patient folders. A patient folder holds NIfTI files, each .nii or .nii.gz:
  CTA1, CTA2regA, CTA3regA   phases of the CT angiography, in HU (those that --channels names)
  ATLASMASKregA              region of each voxel, 0 to 14
  <id>_clot                  0 none, 1 and 2 clot
  SpiralregA                 SPIRAL map, 0 to 1; may be missing unless --channels names it
regions.json beside the patient folders may name the regions:
  {"names": [15 names], "mirror": [for each region the index of that on the other side]}

PREPARED gets the cached slices, splits.json (train, validation, test, 64:16:20 by patient, balanced
over regions) and a report on the cohort, report.html and report.json. Patients that cannot be used
are listed there and on stderr with file and reason; the others are prepared. A run that was stopped
goes on where it stopped, and a later run with more patients leaves the old ones in their splits."""

EPILOG = """examples:
  aminet-prepare cohort -o prepared
  aminet-prepare cohort -o prepared-arterial --channels arterial --negatives 30 --window 3

exit codes:
  0 all patients were prepared    13 some were refused, they are listed
  2 wrong option   10 no cohort   12 PREPARED was made with other settings   30 cannot write"""

EXIT_REFUSED = 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-prepare."""
    parser = command_parser("aminet-prepare", DESCRIPTION, EPILOG)
    parser.add_argument("cohort", type=Path, metavar="COHORT", help="folder of patient folders")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PREPARED", help="prepared cohort"
    )
    parser.add_argument(
        "--split-by",
        choices=("patient", "slice"),
        default="patient",
        help="slice deals the slices of each patient to all splits, as the source report likely "
        "did. It leaks, and all that comes of it is labelled so; default %(default)s",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of new splits, default %(default)s", metavar="S"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=available_threads(),
        metavar="P",
        help="processes; default one a core that it may use, here %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_cache_options(parser)
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _prepare(options), debug=options.debug)


def _prepare(options: argparse.Namespace) -> int:
    _require_sensible(options)

    from aminet_train.cohort.prepare import REPORT_FILE, prepare_cohort
    from aminet_train.cohort.prepare_patient import PreparePlan
    from aminet_train.cohort.splits import SplitBy

    plan = PreparePlan(
        root=options.output,
        preprocessing=preprocessing_of(options),
        kept=kept_of(options),
        split_by=SplitBy(options.split_by),
    )
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        refusals = prepare_cohort(
            options.cohort, plan, seed=options.seed, jobs=options.jobs, on_progress=on_progress
        )
    for refusal in refusals:
        print(f"refused {refusal.patient_id}: {refusal}", file=sys.stderr)
    content = (options.output / REPORT_FILE).read_text(encoding="utf-8")
    print(content.rstrip() if options.json else _summary(json.loads(content), options.output))
    return EXIT_REFUSED if refusals else 0


def _require_sensible(options: argparse.Namespace) -> None:
    if options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs} is below 1")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed} is below 0")
    if options.split_by == "slice" and options.negatives is not None:
        raise UsageError(
            "--negatives drops slices that --split-by slice would deal to validation and test",
            hint="use one of them",
        )
    cohort, output = options.cohort.resolve(), options.output.resolve()
    if output == cohort or cohort in output.parents:
        raise UsageError(
            "PREPARED lies inside of COHORT, where it would be taken for a patient",
            path=options.output,
            hint="choose a place outside",
        )


def _summary(report: dict[str, Any], output: Path) -> str:
    patients, slices, splits = report["patients"], report["slices"], report["splits"]
    dealt = ", ".join(
        f"{splits[name]['patients']} {name}" for name in ("train", "validation", "test")
    )
    return "\n".join(
        [
            f"patients   {patients['used']} used, {patients['refused']} refused",
            f"splits     {dealt} (by {splits['by']}, seed {splits['seed']})"
            + (f", {splits['note']}" if splits["note"] else ""),
            f"slices     {slices['count']}, {slices['with_clot']} with clot",
            f"stored     {slices['stored']} slices",
            f"phase 1    usable in {report['first_phase']['usable']} of {patients['used']}",
            *(f"remark     {remark}" for remark in report["remarks"]),
            f"report     {output / 'report.html'}",
        ]
    )
