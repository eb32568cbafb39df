# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom OUT`: write patient folders."""

import argparse
import json
import sys
from pathlib import Path

from aminet_benchmarks.phantom.commands.options import (
    add_cohort_options,
    anatomy_request,
    config_of,
)
from aminet_runtime.console import progress_bar


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a cohort on disk."""
    add_cohort_options(parser)
    parser.add_argument(
        "--twin",
        choices=("none", "mirror"),
        default="self",
        help="write the same heads without clots, or with the clots on the other side",
    )
    parser.add_argument(
        "--tested-by",
        type=Path,
        metavar="PREPARED",
        help="write only those patients whom this prepared cohort tests, such as their twins",
    )
    parser.add_argument(
        "--truth", action="store_true", help="print the regions with clot behind each folder"
    )


def make(options: argparse.Namespace) -> int:
    """Write the cohort and print its folders."""
    from aminet_benchmarks.phantom.cohort import CohortPlan, write_cohort

    plan = CohortPlan(
        folder=options.folder,
        patients=options.patients,
        seed=options.seed,
        config=config_of(options),
        twin=options.twin,
        jobs=options.jobs,
        anatomy=anatomy_request(options),
        only=None if options.tested_by is None else _test_patients(options.tested_by),
    )
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        folders = write_cohort(plan, on_progress=on_progress)
    describe = _with_truth if options.truth else str
    sys.stdout.writelines(f"{describe(folder)}\n" for folder in folders)
    return 0


def _test_patients(prepared: Path) -> frozenset[str]:
    from aminet_train.cohort.splits import Split, read_splits

    return frozenset(read_splits(prepared)[Split.TEST])


def _with_truth(folder: Path) -> str:
    from aminet_benchmarks.phantom.files import TRUTH_FILE

    truth = json.loads((folder / TRUTH_FILE).read_text(encoding="utf-8"))
    return f"{folder}: the truth is {', '.join(truth['region_names']) or 'no clot'}"
