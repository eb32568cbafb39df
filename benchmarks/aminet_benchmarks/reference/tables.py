# SPDX-License-Identifier: Apache-2.0
"""What a study found, as Markdown: tables at both levels, and the command behind each row."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aminet_benchmarks.reference.networks import TRAININGS
from aminet_benchmarks.reference.plan import (
    BY_PATIENT_EVALUATION,
    BY_SLICE_EVALUATION,
    ENSEMBLE,
    NEW_PATIENTS,
    SPIRAL,
    TWIN_EVALUATION,
    evaluation_folder,
    run_folder,
)
from aminet_benchmarks.reference.stage import Stage, read_record
from aminet_runtime.errors import InputMissing
from aminet_train.judging.report_tables import LEAKING
from aminet_train.levels import Level

LABELS: Mapping[str, str] = {
    SPIRAL: "SPIRAL threshold",
    ENSEMBLE: "ensemble: simple CNN, MobileNetV2, EfficientFormerV2",
    **{training.name: training.label for training in TRAININGS},
}
RESULT_COLUMNS = ("approach", "run", "P", "R", "F1 (95 %)", "accuracy", "AP")

Report = Mapping[str, Any]


def results(root: Path, stages: Sequence[Stage]) -> str:
    """Return all tables of a study whose stages have ended.

    Raises:
        InputMissing: An evaluation is not there.
    """
    by_patient = _models(root, BY_PATIENT_EVALUATION)
    by_slice = _models(root, BY_SLICE_EVALUATION)
    twins = _models(root, TWIN_EVALUATION)
    new = [model["compare"][NEW_PATIENTS] for model in by_slice]
    training_s = {stage.output: _seconds(root, stage) for stage in stages}
    patients = by_patient[0]["patients"]
    parts = [
        f"## By patients: {patients} test patients",
        _level_tables(by_patient),
        "### Rules, chosen on validation, and time of training",
        _rule_table([*by_patient, *by_slice], training_s),
        f"## By slices ({LEAKING})",
        _level_tables(by_slice),
        f"### The same networks on {new[0]['patients']} patients whom they have not seen",
        _level_tables(new),
        f"## The same {twins[0]['twins']['patients']} heads without their clots",
        _twin_table(twins),
        "## Commands, each inside of the study's folder",
        _commands(stages),
    ]
    return "\n\n".join(parts)


def _models(root: Path, evaluation: str) -> list[Report]:
    path = root / evaluation_folder(evaluation) / "report.json"
    try:
        report = json.loads(path.read_bytes())
    except OSError as cause:
        raise InputMissing(
            "this evaluation is not there", path=path, hint="run all stages of the study"
        ) from cause
    models: list[Report] = report.get("models", [report])
    return models


def _level_tables(models: Sequence[Report]) -> str:
    return "\n\n".join(
        f"Pairs of {level} and region:\n\n{_result_table(models, level)}" for level in Level
    )


def _result_table(models: Sequence[Report], level: str) -> str:
    rows = ([*_named(model), *_figures(model[level])] for model in models)
    return _table(RESULT_COLUMNS, rows)


def _named(model: Report) -> list[str]:
    return [LABELS.get(model["label"], model["label"]), f"`{model['label']}`"]


def _figures(values: Report) -> list[str]:
    low, high = values["f1_ci95"]
    return [
        _share(values["precision"]),
        _share(values["recall"]),
        f"{_share(values['f1'])} ({_share(low)} to {_share(high)})",
        f"{values['accuracy']:.4f}",
        _share(values["average_precision"]),
    ]


def _rule_table(models: Sequence[Report], training_s: Mapping[Path, str]) -> str:
    columns = ("run", "slice threshold", "patient thresholds", "slices in a row", "seconds")
    rows = (
        [
            f"`{model['label']}`",
            *_rule(model["rule"]),
            training_s.get(run_folder(model["label"]), ""),
        ]
        for model in models
    )
    return _table(columns, rows)


def _rule(rule: Report | None) -> list[str]:
    if rule is None:
        return ["majority", "majority", ""]
    thresholds = sorted(set(rule["patient_thresholds"]))
    spread = f"{thresholds[0]:.3f}"
    if len(thresholds) > 1:
        spread += f" to {thresholds[-1]:.3f}"
    return [f"{rule['slice_threshold']:.3f}", spread, str(rule["min_consecutive_slices"])]


def _seconds(root: Path, stage: Stage) -> str:
    record = read_record(root, stage)
    if record is None:
        return ""
    return f"{record.wall_s:.0f} ({record.cpu_s:.0f} of processor)"


def _twin_table(models: Sequence[Report]) -> str:
    columns = ("approach", "run", "level", "flags", "on twins", "true flags that vanish", "stay")
    rows = (
        [
            *_named(model),
            level,
            str(values["flags"]),
            str(values["twin_flags"]),
            f"{values['true_flags_that_vanish']:.0%} of {values['true_flags']}",
            f"{values['flags_that_stay']:.0%}",
        ]
        for model in models
        for level, values in ((level, model["twins"][level]) for level in Level)
    )
    return _table(columns, rows)


def _commands(stages: Sequence[Stage]) -> str:
    return "\n".join(["```sh", *(shlex.join(_shown(stage.command)) for stage in stages), "```"])


def _shown(command: Sequence[str]) -> Iterator[str]:
    """Name files of this machine, such as weights, by their last name."""
    for word in command:
        yield Path(word).name if Path(word).is_absolute() else word


def _table(columns: Sequence[str], rows: Iterator[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
