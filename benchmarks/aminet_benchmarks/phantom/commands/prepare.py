# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom prepare`: phantoms straight to prepared data."""

import argparse
from collections.abc import Sequence

from aminet_benchmarks.phantom.commands.options import (
    add_cohort_options,
    anatomy_request,
    config_of,
)
from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_train.commands.cache_options import add_cache_options, kept_of, preprocessing_of

PROG = "aminet-phantom prepare"
SUMMARY = "prepare phantoms for aminet-train without writing their volumes"
DESCRIPTION = (
    "Prepare phantoms for aminet-train as aminet-prepare would, without writing their volumes: "
    "one second a patient where only some slices are kept."
)
EXAMPLE = """example:
  aminet-phantom prepare prepared-train --patients 1000 --seed 10 --channels arterial \\
                         --negatives 25 --jobs 2
  aminet-phantom prepare prepared-val --patients 60 --seed 20 --channels arterial \\
                         --split validation --jobs 2"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, DESCRIPTION, EXAMPLE)
    add_cohort_options(parser)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="train")
    add_cache_options(parser)
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _prepare(options), debug=options.debug)


def _prepare(options: argparse.Namespace) -> int:
    from aminet_benchmarks.phantom.streamed import StreamedCohort, prepare_phantoms
    from aminet_train.cohort.prepare_patient import PreparePlan
    from aminet_train.cohort.splits import Split

    cohort = StreamedCohort(
        patients=options.patients,
        seed=options.seed,
        config=config_of(options),
        split=Split(options.split),
        jobs=options.jobs,
        anatomy=anatomy_request(options),
    )
    plan = PreparePlan(
        root=options.folder,
        preprocessing=preprocessing_of(options),
        kept=kept_of(options),
    )
    with progress_bar("patients", quiet=options.quiet) as on_progress:
        prepare_phantoms(cohort, plan, on_progress=on_progress)
    return 0
