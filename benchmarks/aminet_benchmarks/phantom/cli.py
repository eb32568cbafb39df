# SPDX-License-Identifier: Apache-2.0
"""`aminet-phantom`: make phantom patients, or do what the first word says."""

import argparse
import sys
from collections.abc import Sequence

from aminet_benchmarks.phantom.commands import (
    differences,
    fetch_anatomy,
    make,
    prepare,
    probe,
    sheet,
    signal,
    validate,
)
from aminet_benchmarks.phantom.threads import use_one_thread
from aminet_benchmarks.verbs import Verb, verbs_help
from aminet_runtime.console import command_parser, run_command

PROG = "aminet-phantom"
DESCRIPTION = (
    "Make digital phantoms of stroke mCTA: one folder a patient with three phases, atlas, "
    "SPIRAL-like map and clot. Results on phantoms say nothing about patients."
)
TITLE = "verbs, each with its own --help (a folder of such a name is written ./validate):"
EXAMPLE = """example:
  aminet-phantom cohort --patients 20 --seed 1 --jobs 2
  aminet-phantom twins --patients 20 --seed 1 --twin none     the same heads without clots

A cohort that was interrupted goes on where it stopped."""


VERBS = {
    "differences": Verb(differences.SUMMARY, differences.main),
    "fetch-anatomy": Verb(fetch_anatomy.SUMMARY, fetch_anatomy.main),
    "prepare": Verb(prepare.SUMMARY, prepare.main),
    "probe": Verb(probe.SUMMARY, probe.main),
    "sheet": Verb(sheet.SUMMARY, sheet.main),
    "signal": Verb(signal.SUMMARY, signal.main),
    "validate": Verb(validate.SUMMARY, validate.main),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    use_one_thread()
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in VERBS:
        return VERBS[words[0]].run(words[1:])
    options = _parser().parse_args(words)
    return run_command(PROG, lambda: make.make(options), debug=options.debug)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        PROG, DESCRIPTION, f"{verbs_help(PROG, VERBS, title=TITLE)}\n\n{EXAMPLE}"
    )
    make.add_options(parser)
    return parser
