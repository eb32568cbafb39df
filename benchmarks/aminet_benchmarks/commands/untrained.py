# SPDX-License-Identifier: Apache-2.0
"""`aminet-benchmark untrained`: a bundle for figures about speed alone."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from aminet_benchmarks.commands.options import to_json
from aminet_runtime.console import command_parser, run_command
from aminet_runtime.errors import UsageError
from aminet_train.commands.cache_options import add_size_options, margin_of
from aminet_train.fitting.defaults import MODEL_DEFAULTS

PROG = "aminet-benchmark untrained"
SUMMARY = "an INT8 bundle with random weights, for figures about speed alone"
SIZE_PX, FRAME_PX = (192, 160), 224
"""The pixels of the source report, 224 x 224, without the air that a head leaves around it."""

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
    add_size_options(parser.add_argument_group("its input"), size=SIZE_PX, frame=FRAME_PX)
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
    preprocessing = PreprocessingConfig.from_preset(
        options.channels, size_px=options.size, margin_px=margin_of(options)
    )
    settings = {"head": "atlas"} if preprocessing.has_atlas else {}
    network = UntrainedPlan(Approach(options.model), preprocessing, settings=settings)
    seconds = write_speed_bundle(SpeedBundlePlan(network, options.output))
    lines = [f"{step:24s} {taken:6.1f} s" for step, taken in seconds.items()]
    print(to_json(dict(seconds)) if options.json else "\n".join([*lines, str(options.output)]))
    return 0
