# SPDX-License-Identifier: Apache-2.0
"""What a search found: a CSV, two plots, and the command that trains the best trial."""

import csv
import io
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from aminet_runtime.publish import write_whole
from aminet_train.checkpoint import ABOUT_FILE, CHECKPOINT_FOLDER
from aminet_train.judging.plots import learning_plot, trials_plot
from aminet_train.tuning.plan import TunePlan
from aminet_train.tuning.search import EPOCH
from aminet_train.tuning.space import SIZE, Range, as_flags
from aminet_train.tuning.trials import METRIC, Trial

METRIC_NAME = "validation average precision (slice)"
MEASURED = (EPOCH, METRIC, "slice_f1", "patient_f1", "loss")


def write_tune_report(plan: TunePlan, trials: Sequence[Trial], *, command: str) -> list[Path]:
    """Write trials.csv, learning.png, parameters.png and best.json.

    Args:
        plan: The search.
        trials: All of its trials.
        command: Trains the best one.

    Returns:
        The files.
    """
    measured = [trial for trial in trials if trial.epochs]
    best = best_trial(trials)
    epochs = {trial.name: [epoch[EPOCH] for epoch in trial.epochs] for trial in measured}
    values = {trial.name: [epoch[METRIC] for epoch in trial.epochs] for trial in measured}
    title = f"{plan.model}: {len(measured)} trials"
    files = {
        "trials.csv": _csv(plan, trials).encode(),
        "learning.png": learning_plot(
            {name: (epochs[name], values[name]) for name in epochs},
            metric=METRIC_NAME,
            title=title,
        ),
        "parameters.png": trials_plot(
            {name: [trial.parameters[name] for trial in measured] for name in plan.space},
            [trial.score for trial in measured],
            metric="validation AP",
            logarithmic=_logarithmic(plan),
            title=title,
        ),
        "best.json": _best(best, command).encode(),
    }
    for name, data in files.items():
        write_whole(plan.output / name, data)
    return [plan.output / name for name in files]


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Return the trial with the highest average precision on validation patients."""
    return max(trials, key=lambda trial: trial.score)


def best_command(plan: TunePlan, trials: Sequence[Trial], *, config: Path | None) -> str:
    """Write the command that trains the best trial anew, as long as it likes."""
    best = best_trial(trials)
    size = best.parameters.get(SIZE, next(iter(plan.data)))
    base = [] if config is None else ["--config", str(config)]
    data = ["--data", *map(str, plan.data[size])]
    flags = as_flags(best.parameters, plan.space)
    return shlex.join(["aminet-train", "--model", plan.model, *data, *base, *flags])


def _logarithmic(plan: TunePlan) -> list[str]:
    return [
        name for name, one in plan.space.items() if isinstance(one, Range) and one.is_logarithmic
    ]


def _csv(plan: TunePlan, trials: Sequence[Trial]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(plan.space)
    best = [f"best_{name}" for name in MEASURED]
    writer.writerow(["trial", "outcome", "epochs", *best, *names, "reason"])
    for trial in sorted(trials, key=lambda one: -one.score):
        measured = trial.best or {}
        writer.writerow(
            [
                trial.name,
                trial.outcome or "",
                len(trial.epochs),
                *(measured.get(name, "") for name in MEASURED),
                *(trial.parameters[name] for name in names),
                trial.reason,
            ]
        )
    return text.getvalue()


def _best(best: Trial, command: str) -> str:
    has_checkpoint = (best.run / CHECKPOINT_FOLDER / ABOUT_FILE).exists()  # not if ASHA stopped it
    values = {
        "trial": best.name,
        "parameters": dict(best.parameters),
        "best_epoch": best.best,
        "checkpoint": f"trials/{best.name}/run/{CHECKPOINT_FOLDER}" if has_checkpoint else None,
        "command": command,
    }
    return json.dumps(values, indent=1) + "\n"
