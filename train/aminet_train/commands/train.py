# SPDX-License-Identifier: Apache-2.0
"""`aminet-train`: prepared data to a checkpoint."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_runtime.console import command_parser, run_command
from aminet_runtime.errors import UsageError

if TYPE_CHECKING:
    from aminet_train.networks import NetworkConfig
    from aminet_train.train_config import TrainConfig

EXAMPLE = "example: aminet-train --model mobilenetv2 --data prepared --weights imagenet"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-train."""
    parser = command_parser("aminet-train", "Train a network on prepared data.", EXAMPLE)
    _add_data_options(parser)
    _add_learning_options(parser)
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _train(options), debug=options.debug)


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="prepared cohorts")
    parser.add_argument("--run", type=Path, help="default: runs/MODEL-TIME")
    parser.add_argument(
        "--model", choices=("simple_cnn", "mobilenetv2", "efficientformerv2"), required=True
    )
    parser.add_argument(
        "--weights",
        default="imagenet",
        metavar="imagenet|none|FILE",
        help="pretrained weights of the backbone; FILE is safetensors in timm's names",
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
    from aminet_train.networks.efficientformerv2 import EfficientFormerV2Config
    from aminet_train.networks.heads import Head
    from aminet_train.networks.mobilenetv2 import MobileNetV2Config, Padding
    from aminet_train.networks.simple_cnn import SimpleCnnConfig

    if options.mask_weight and (options.model == "simple_cnn" or options.head != "dense"):
        raise UsageError(
            "--mask-weight needs a dense head", hint="add --head dense, and not with simple_cnn"
        )
    if options.model == "simple_cnn":
        return SimpleCnnConfig()
    if options.model == "efficientformerv2":
        return EfficientFormerV2Config(head=Head(options.head))
    return MobileNetV2Config(head=Head(options.head), padding=Padding(options.padding))


def _on_terminal(options: argparse.Namespace) -> bool:
    return sys.stderr.isatty() and not options.quiet
