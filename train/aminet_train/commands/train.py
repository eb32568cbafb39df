# SPDX-License-Identifier: Apache-2.0
"""`aminet-train`: prepared data to a checkpoint."""

import argparse
import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aminet_runtime.console import command_parser, run_command
from aminet_runtime.errors import UsageError
from aminet_train.commands.train_flags import add_flags, defaults_table, given_settings
from aminet_train.commands.train_others import OTHER_MODELS, train_other
from aminet_train.fitting.defaults import MODEL_DEFAULTS

if TYPE_CHECKING:
    from aminet_train.fitting.progress import TrainingObserver

DESCRIPTION = """\
Train a network on data that aminet-prepare made. Writes a run folder with config.toml,
metrics.csv, tensorboard/, curves.png and checkpoint/, and prints the path of the checkpoint,
which is what aminet-evaluate and aminet-export want. The channels and the input size are those of
the prepared data."""

EXAMPLE = f"""\
defaults of each network (the source report's best trials on CTA; its best on SPIRAL alone:
--model simple_cnn --activation relu --learning-rate 0.00061 --dropout 0.39
--positive-weight 15.26):
{defaults_table()}

examples:
  aminet-train --model mobilenetv2 --data prepared
  aminet-train --model mobilenetv2 --data prepared --masks --window 3 --slab --run runs/first
  aminet-train --model spiral --data prepared          the baseline: a threshold, no network
  aminet-train --model ensemble --members runs/a/checkpoint runs/b/checkpoint runs/c/checkpoint
  aminet-train --model average --members runs/a/checkpoint runs/b/checkpoint --data prepared
                           the mean of the weights of runs that went on from each other
  aminet-train --resume runs/first                     after a crash, to the same result
  aminet-train --config runs/first/config.toml --seed 1
  tensorboard --logdir runs

--config takes a TOML file such as a run's config.toml; flags override it:
  model = "mobilenetv2"
  data = ["prepared"]
  [schedule]
  epochs = 20"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-train."""
    parser = command_parser("aminet-train", DESCRIPTION, EXAMPLE)
    _add_run_options(parser)
    add_flags(parser)
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _train(options), debug=options.debug)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--model", choices=(*MODEL_DEFAULTS, *OTHER_MODELS))
    group.add_argument(
        "--data", type=Path, nargs="+", metavar="PREPARED", help="cohorts that aminet-prepare made"
    )
    group.add_argument(
        "--members",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="of --model ensemble: 3, 5 or 7 checkpoints or bundles, which vote; "
        "of --model average: 2 or more checkpoints of one network",
    )
    group.add_argument("--run", type=Path, metavar="DIR", help="default runs/MODEL-TIME")
    group.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML")
    group.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on with a run; no other flags"
    )
    group.add_argument(
        "--save-seconds",
        type=float,
        default=30.0,
        metavar="S",
        help="how often to save the state for --resume; 0: after every step; default 30",
    )


def _train(options: argparse.Namespace) -> int:
    if options.resume is not None:
        _refuse_settings_beside_resume(options)
    if options.model in OTHER_MODELS:
        print(train_other(options))
        return 0
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it announces itself
    from aminet_train.fitting import fit
    from aminet_train.fitting.processes import is_first_process

    with _display(quiet=options.quiet) as observer:
        manners: dict[str, Any] = {"observer": observer, "save_seconds": options.save_seconds}
        if options.resume is not None:
            checkpoint = fit.resume(options.resume, **manners)
        else:
            checkpoint = _train_anew(options, manners)
    if is_first_process():
        print(checkpoint)
    return 0


def _train_anew(options: argparse.Namespace, manners: dict[str, Any]) -> Path:
    from aminet_train.fitting.fit import train
    from aminet_train.fitting.resolve_config import resolve
    from aminet_train.settings import read_toml

    layers = [given_settings(options), _named(options)]
    if options.config is not None:
        layers.insert(0, read_toml(options.config))
    config = resolve(*layers)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    run = options.run or Path("runs") / f"{config.approach}-{stamp}"
    return train(config, run, **manners)


def _named(options: argparse.Namespace) -> dict[str, Any]:
    named = {"model": options.model, "data": options.data}
    return {name: value for name, value in named.items() if value is not None}


def _refuse_settings_beside_resume(options: argparse.Namespace) -> None:
    if given_settings(options) or _named(options) or options.config or options.run:
        raise UsageError(
            "a run goes on with its own settings", hint="give --resume RUN and no other setting"
        )


@contextlib.contextmanager
def _display(*, quiet: bool) -> Iterator["TrainingObserver"]:
    from aminet_train.commands.train_display import BarDisplay, LineDisplay
    from aminet_train.fitting.processes import is_first_process
    from aminet_train.fitting.progress import SILENT

    if quiet or not is_first_process():
        yield SILENT
    elif sys.stderr.isatty():
        with BarDisplay() as display:
            yield display
    else:
        yield LineDisplay(sys.stderr)
