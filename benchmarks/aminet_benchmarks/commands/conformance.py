# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark conformance`: write a conformance kit, or check a port with one."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.bundle import default_bundle_path
from aminet_runtime.console import command_parser, run_command
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.errors import GateFailed, UsageError

PROG = "aminet-benchmark conformance"
SUMMARY = "write a conformance kit, or check a port with one"
EXAMPLE = """examples:
  aminet-benchmark conformance --bundle mobilenetv2-int8 --output kit
  aminet-benchmark conformance --check kit answers.json"""

CASE_NO_TASK = 30
CASE_PORT_DIFFERS = 31


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"{SUMMARY.capitalize()}.", EXAMPLE)
    parser.add_argument("--bundle", type=Path, help="default: the one that is shipped")
    parser.add_argument("-o", "--output", type=Path, metavar="KIT", help="write a kit here")
    parser.add_argument(
        "--engine",
        type=EngineName,
        choices=tuple(EngineName),
        default=EngineName.OPENVINO,
        help="whose answers are expected",
    )
    parser.add_argument(
        "--check", type=Path, nargs=2, metavar=("KIT", "ANSWERS"), help="judge a host's answers"
    )
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _conformance(options), debug=options.debug)


def _conformance(options: argparse.Namespace) -> int:
    if (options.output is None) == (options.check is None):
        raise UsageError(
            "nothing or too much to do", case=CASE_NO_TASK, hint="give --output or --check"
        )
    return _write(options) if options.check is None else _check(*options.check)


def _write(options: argparse.Namespace) -> int:
    from aminet_benchmarks.conformance.kit import write_kit

    bundle = options.bundle or default_bundle_path()
    print(write_kit(bundle, options.output, engine=options.engine))
    return 0


def _check(kit: Path, answers: Path) -> int:
    from aminet_benchmarks.conformance.check import check_answers

    wrong = check_answers(kit, answers)
    for sentence in wrong:
        print(sentence)
    if wrong:
        raise GateFailed(
            f"the port differs in {len(wrong)} places",
            case=CASE_PORT_DIFFERS,
            hint="the places are listed above; docs/embedding.md says where such faults come from",
        )
    print("the port conforms")
    return 0
