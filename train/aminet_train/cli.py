# SPDX-License-Identifier: Apache-2.0
"""The commands aminet-prepare, aminet-train and aminet-evaluate: parse, call, print.

torch is imported only after the arguments are known to be good, so that `--help` is quick.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_runtime.errors import UsageError

if TYPE_CHECKING:
    from aminet_train.networks import NetworkConfig
    from aminet_train.train_config import TrainConfig

PREPARE_EXAMPLE = "example: aminet-prepare cohort -o prepared --channels arterial --jobs 2"
TRAIN_EXAMPLE = "example: aminet-train --model mobilenetv2 --data prepared --weights imagenet"
EVALUATE_EXAMPLE = "example: aminet-evaluate runs/mobilenetv2-1/checkpoint --data prepared"

CHANNELS = ("cta", "arterial", "mcta", "spiral", "cta+spiral")
EXIT_REFUSED = 13


def prepare_main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-prepare."""
    parser = command_parser(
        "aminet-prepare", "Turn patient folders into network inputs and labels.", PREPARE_EXAMPLE
    )
    parser.add_argument("cohort", type=Path, help="folder of patient folders")
    parser.add_argument("-o", "--output", type=Path, required=True, help="prepared cohort")
    parser.add_argument("--channels", choices=CHANNELS, default="cta", help="default: %(default)s")
    parser.add_argument("--size", type=int, default=224, help="pixels, default: %(default)s")
    parser.add_argument("--jobs", type=int, default=1, help="processes, default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the splits, default: %(default)s")
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _prepare(options), debug=options.debug)


def train_main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-train."""
    parser = command_parser("aminet-train", "Train a network on prepared data.", TRAIN_EXAMPLE)
    _add_data_options(parser)
    _add_learning_options(parser)
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _train(options), debug=options.debug)


def evaluate_main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-evaluate."""
    parser = command_parser(
        "aminet-evaluate", "Score a split with a checkpoint, at both levels.", EVALUATE_EXAMPLE
    )
    parser.add_argument("checkpoint", type=Path, help="folder that aminet-train wrote")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="prepared cohorts")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _evaluate(options), debug=options.debug)


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="prepared cohorts")
    parser.add_argument("--run", type=Path, help="default: runs/MODEL-TIME")
    parser.add_argument("--model", choices=("simple_cnn", "mobilenetv2"), required=True)
    parser.add_argument(
        "--weights",
        default="imagenet",
        metavar="imagenet|none|FILE",
        help="pretrained weights of mobilenetv2; FILE is safetensors in timm's names",
    )
    parser.add_argument(
        "--padding",
        choices=("symmetric", "same"),
        default="symmetric",
        help="same: for weights that were converted from TensorFlow",
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="CHECKPOINT", help="go on from a checkpoint's weights"
    )
    parser.add_argument("--head", choices=("gap", "dense"), default="gap")
    parser.add_argument("--threads", type=int, help="of torch")


def _add_learning_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--frozen-epochs", type=int, default=5, help="head alone at the start")
    parser.add_argument("--patience", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=7e-4)
    parser.add_argument("--backbone-rate", type=float, default=0.3, help="share of the head's")
    parser.add_argument("--positive-weight", type=float, default=15.0)
    parser.add_argument("--mask-weight", type=float, default=0.0, help="0: slice labels alone")
    parser.add_argument("--negatives-per-positive", type=float, default=1.5)
    parser.add_argument("--validation-stride", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--seed", type=int, default=0)


def _prepare(options: argparse.Namespace) -> int:
    from aminet_train.prepare import PreparePlan, prepare_cohort
    from aminet_train.preprocessing import PreprocessingConfig

    size_px = (options.size, options.size)
    plan = PreparePlan(
        root=options.output,
        preprocessing=PreprocessingConfig.from_preset(options.channels, size_px=size_px),
    )
    with progress_bar("prepare", quiet=options.quiet) as on_progress:
        refusals = prepare_cohort(
            options.cohort, plan, seed=options.seed, jobs=options.jobs, on_progress=on_progress
        )
    for refusal in refusals:
        print(f"refused {refusal.patient_id}: {refusal.reason}", file=sys.stderr)
    return EXIT_REFUSED if refusals else 0


def _train(options: argparse.Namespace) -> int:
    import torch

    from aminet_train.fit import train

    if options.threads:
        torch.set_num_threads(options.threads)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    run = options.run or Path("runs") / f"{options.model}-{stamp}"
    checkpoint = train(_train_config(options), run, progress=_on_terminal(options))
    print(checkpoint)
    return 0


def _train_config(options: argparse.Namespace) -> "TrainConfig":
    from aminet_train.losses import LossConfig
    from aminet_train.networks import Approach
    from aminet_train.train_config import Precision, ScheduleConfig, TrainConfig

    return TrainConfig(
        data=tuple(options.data),
        approach=Approach(options.model),
        network=_network_config(options),
        weights=options.weights,
        start_from=options.start_from,
        schedule=ScheduleConfig(
            epochs=options.epochs,
            frozen_epochs=options.frozen_epochs,
            patience=options.patience,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            backbone_rate=options.backbone_rate,
        ),
        loss=LossConfig(positive_weight=options.positive_weight, mask_weight=options.mask_weight),
        negatives_per_positive=options.negatives_per_positive,
        validation_stride=options.validation_stride,
        precision=Precision.BFLOAT16 if options.bf16 else Precision.FLOAT32,
        seed=options.seed,
    )


def _network_config(options: argparse.Namespace) -> "NetworkConfig":
    from aminet_train.networks.heads import Head
    from aminet_train.networks.mobilenetv2 import MobileNetV2Config, Padding
    from aminet_train.networks.simple_cnn import SimpleCnnConfig

    if options.mask_weight and (options.model, options.head) != ("mobilenetv2", "dense"):
        raise UsageError(
            "--mask-weight needs a dense head", hint="add --model mobilenetv2 --head dense"
        )
    if options.model == "simple_cnn":
        return SimpleCnnConfig()
    return MobileNetV2Config(head=Head(options.head), padding=Padding(options.padding))


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


def _on_terminal(options: argparse.Namespace) -> bool:
    return sys.stderr.isatty() and not options.quiet
