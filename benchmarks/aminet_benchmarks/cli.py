# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark`: do what the first word says."""

import sys
from collections.abc import Sequence

from aminet_benchmarks.commands import (
    compare,
    conformance,
    data,
    gate,
    reference,
    run,
    scaling,
    selftest,
    untrained,
)
from aminet_benchmarks.verbs import Verb, verbs_help
from aminet_runtime.console import command_parser, run_command
from aminet_runtime.errors import UsageError

PROG = "aminet-benchmark"
DESCRIPTION = "Measure time and memory of whole runs, beside alternatives and against limits."


VERBS = {
    "run": Verb(run.SUMMARY, run.main),
    "compare": Verb(compare.SUMMARY, compare.main),
    "scaling": Verb(scaling.SUMMARY, scaling.main),
    "gate": Verb(gate.SUMMARY, gate.main),
    "selftest": Verb(selftest.SUMMARY, selftest.main),
    "untrained": Verb(untrained.SUMMARY, untrained.main),
    "conformance": Verb(conformance.SUMMARY, conformance.main),
    "reference": Verb(reference.SUMMARY, reference.main),
    "data": Verb(data.SUMMARY, data.main),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in VERBS:
        return VERBS[words[0]].run(words[1:])
    summaries = verbs_help(PROG, VERBS, title="verbs, each with its own --help:")
    parser = command_parser(PROG, DESCRIPTION, summaries)
    parser.add_argument("verb", choices=tuple(VERBS), help="what to do")
    options = parser.parse_args(words)
    return run_command(PROG, lambda: _refuse(options.verb))


def _refuse(verb: str) -> int:
    raise UsageError(f"options stand behind {verb}", hint=f"see {PROG} {verb} --help")
