# SPDX-License-Identifier: Apache-2.0
"""`aminet-tune`: search hyperparameters."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.console import command_parser, progress_bar, run_command
from aminet_train.fitting.defaults import MODEL_DEFAULTS

DESCRIPTION = """\
Search the hyperparameters of a network: Optuna proposes trials, ASHA stops those that lag behind,
Ray runs them side by side. What is compared is the average precision on validation patients; test
patients are never looked at. Needs the extra: pip install 'aminet[tune]'.

Searched are the source report's spaces: learning rate .0005 to .01 (logarithmic) and positive
weight 10 to 90; for simple_cnn also activation, dropout .1 to .4, feature size 128, 256 or 512,
pool 2 or 4, extra layers 0 to 2. The input size is searched where --data names cohorts of several
sizes (aminet-prepare --size 128, 256, 512)."""

EXAMPLE = """\
examples:
  aminet-tune --model simple_cnn --data prepared-128 prepared-256 -o search --trials 40
  aminet-tune --model mobilenetv2 --data prepared -o search --config settings.toml
  aminet-tune --model simple_cnn --data prepared -o /shared/search --address auto

The same command goes on with a search that was stopped or killed: trials that ended count, the
others go on where they were. Only --trials, --seed, --cpus and --address may change; any other
search wants a DIR of its own. DIR gets trials.csv, learning.png, parameters.png, best.json and a
training run for each trial. The command that trains the best trial is printed at the end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run aminet-tune."""
    parser = command_parser("aminet-tune", DESCRIPTION, EXAMPLE)
    _add_search(parser)
    _add_machines(parser)
    options = parser.parse_args(arguments)
    return run_command(parser.prog, lambda: _tune(options), debug=options.debug)


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODEL_DEFAULTS, required=True)
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="PREPARED", help="prepared cohorts"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the search"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings of aminet-train (TOML) that all trials share, e.g. weights or window",
    )
    parser.add_argument("--trials", type=int, default=20, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--epochs",
        type=int,
        default=20,
        metavar="N",
        help="of a trial that is never stopped; default: %(default)s, the report's",
    )
    parser.add_argument(
        "--grace",
        type=int,
        default=4,
        metavar="N",
        help="epochs that every trial may have; default: %(default)s",
    )
    parser.add_argument(
        "--reduction",
        type=int,
        default=2,
        metavar="N",
        help="of N trials that reach a rung (grace, grace x N, ..) one goes on; default: "
        "%(default)s",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the search, default: %(default)s")


def _add_machines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cpus", type=int, default=1, metavar="N", help="of one trial; default: %(default)s"
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="a running Ray cluster, or auto; DIR and the cohorts must be on a file system that "
        "all machines share. Default: this machine",
    )
    parser.add_argument("--json", action="store_true", help="print the best trial as JSON")


def _tune(options: argparse.Namespace) -> int:
    from aminet_train.settings import read_toml
    from aminet_train.tuning.plan import TunePlan
    from aminet_train.tuning.report import best_command, best_trial, write_tune_report
    from aminet_train.tuning.search import tune
    from aminet_train.tuning.space import cohorts_by_size, space_of

    data = cohorts_by_size(options.data)
    plan = TunePlan(
        model=options.model,
        data=data,
        output=options.output.resolve(),
        space=space_of(options.model, list(data)),
        settings={} if options.config is None else read_toml(options.config),
        trials=options.trials,
        epochs=options.epochs,
        grace_epochs=options.grace,
        reduction=options.reduction,
        cpus=options.cpus,
        address=options.address,
        seed=options.seed,
    )
    with progress_bar("trials", quiet=options.quiet) as on_progress:
        trials = tune(plan, on_progress=on_progress)
    command = best_command(plan, trials, config=options.config)
    write_tune_report(plan, trials, command=command)
    best = best_trial(trials)
    if options.json:
        print((plan.output / "best.json").read_text(), end="")
        return 0
    failed = [trial for trial in trials if trial.reason]
    for trial in failed:
        print(f"trial {trial.name} failed: {trial.reason}", file=sys.stderr)
    print(f"best of {len(trials)} trials: validation AP {best.score:.4f}")
    print(json.dumps(dict(best.parameters)))
    print(command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
