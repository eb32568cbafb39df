# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark untrained`: a bundle for figures about speed alone."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from aminet_benchmarks.commands.options import to_json
from aminet_runtime.console import command_parser, run_command
from aminet_runtime.errors import UsageError
from aminet_train.commands.cache_options import MAX_SIZE_PX, MIN_SIZE_PX
from aminet_train.fitting.defaults import MODEL_DEFAULTS

PROG = "aminet-benchmark untrained"
SUMMARY = "an INT8 bundle with random weights, for figures about speed alone"
SIZE_PX = 192
"""Of the bundle that ships, so that networks are compared at one size."""

EXAMPLE = """example:
  aminet-benchmark untrained --model efficientformerv2 -o efficientformerv2-untrained-int8
  aminet-benchmark compare --bundle efficientformerv2-untrained-int8"""


def main(argv: Sequence[str]) -> int:
    """Run the verb and return its exit code."""
    parser = command_parser(PROG, f"Make {SUMMARY}.", EXAMPLE)
    parser.add_argument(
        "--model", choices=MODEL_DEFAULTS, default="efficientformerv2", help="the network"
    )
    parser.add_argument("--channels", default="arterial", metavar="PRESET", help="cta, mcta, ...")
    parser.add_argument(
        "--size", type=int, default=SIZE_PX, metavar="PX", help=f"of its input; default {SIZE_PX}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="new")
    options = parser.parse_args(argv)
    return run_command(PROG, lambda: _untrained(options), debug=options.debug)


def _untrained(options: argparse.Namespace) -> int:
    from aminet_benchmarks.speed_bundle import SpeedBundlePlan, write_speed_bundle
    from aminet_benchmarks.untrained import UntrainedPlan
    from aminet_train.networks import Approach
    from aminet_train.preprocessing import CHANNEL_PRESETS, PreprocessingConfig

    if options.channels not in CHANNEL_PRESETS:
        known = ", ".join(CHANNEL_PRESETS)
        raise UsageError(f"--channels {options.channels} is unknown", hint=f"known are {known}")
    if not MIN_SIZE_PX <= options.size <= MAX_SIZE_PX:
        raise UsageError(f"--size {options.size} is not {MIN_SIZE_PX} to {MAX_SIZE_PX}")
    size_px = (options.size, options.size)
    preprocessing = PreprocessingConfig.from_preset(options.channels, size_px=size_px)
    settings = {"head": "atlas"} if preprocessing.has_atlas else {}
    network = UntrainedPlan(Approach(options.model), preprocessing, settings=settings)
    seconds = write_speed_bundle(SpeedBundlePlan(network, options.output))
    lines = [f"{step:24s} {taken:6.1f} s" for step, taken in seconds.items()]
    print(to_json(dict(seconds)) if options.json else "\n".join([*lines, str(options.output)]))
    return 0
