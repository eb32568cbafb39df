# SPDX-License-Identifier: Apache-2.0
"""The flags of `aminet-train`: each names a setting of the TOML file."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aminet_train.fitting.defaults import MASK_DEFAULTS, MODEL_DEFAULTS
from aminet_train.settings import dotted


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        name: As typed, without dashes.
        setting: Its key, with the table in front.
        kind: Type of its value; bool for a switch.
        help: One line, with the default where it is the same for all networks.
        choices: The allowed values.
        metavar: What stands for the value in the help.
    """

    name: str
    setting: str
    kind: type
    help: str
    choices: Sequence[str] | None = None
    metavar: str | None = None


PER_MODEL = "default below"

GROUPS: Mapping[str, Sequence[Flag]] = {
    "network": (
        Flag(
            "head",
            "network.head",
            str,
            "gap: the report's; dense: a map; territory: a map and the tissue; atlas: both in the "
            f"regions of the patient's atlas, a channel of the data, {PER_MODEL}",
            ("gap", "dense", "territory", "atlas"),
        ),
        Flag(
            "map-stride",
            "network.map_stride",
            int,
            "of --head atlas: pixels along a cell of its clot map, 8 or 4; default 8",
        ),
        Flag(
            "tissue-dropout",
            "network.tissue_dropout",
            float,
            "of --head atlas: share of the training slices answered by the clot map alone; "
            "default 0",
        ),
        Flag("masks", "masks", bool, "learn from the clot masks too: " + "MASKS"),
        Flag(
            "padding",
            "network.padding",
            str,
            "of mobilenetv2; same: for weights converted from TensorFlow; default symmetric",
            ("symmetric", "same"),
        ),
        Flag("dropout", "network.dropout", float, PER_MODEL),
        Flag("features", "network.features", int, f"of simple_cnn's feature layer, {PER_MODEL}"),
        Flag("pool", "network.pool", int, f"of simple_cnn, 2 or 4, {PER_MODEL}"),
        Flag("extra-layers", "network.extra_layers", int, f"of simple_cnn, 0 to 2, {PER_MODEL}"),
        Flag(
            "activation",
            "network.activation",
            str,
            f"of simple_cnn, {PER_MODEL}",
            ("relu", "sigmoid", "tanh"),
        ),
    ),
    "what the network sees": (
        Flag("window", "window.size", int, "slices: 1, 3 or 5; default 1"),
        Flag(
            "window-spacing",
            "window.spacing_mm",
            float,
            "from one slice of the window to the next; default the next stored one",
            None,
            "MM",
        ),
        Flag("slab", "window.slab", bool, "the window's maximum (a slab MIP), not its slices"),
        Flag("mirrored", "window.mirrored", bool, "the flipped slice as further channels"),
        Flag(
            "late-fusion",
            "window.late_fusion",
            bool,
            "look at each slice of the window alone and compare their features; with --head atlas, "
            "from a network of single slices",
        ),
    ),
    "weights at the start": (
        Flag(
            "weights",
            "weights",
            str,
            f"ImageNet weights from timm's hub, none, or a safetensors file; {PER_MODEL}",
            None,
            "imagenet|none|FILE",
        ),
        Flag(
            "start-from",
            "start_from",
            Path,
            "go on from another run; its map may be coarser, and it may have seen single slices",
            None,
            "CHECKPOINT",
        ),
    ),
    "learning": (
        Flag("epochs", "schedule.epochs", int, "at most; default 40"),
        Flag(
            "frozen-epochs",
            "schedule.frozen_epochs",
            int,
            f"at the start, only what is new learns: the head, or the fusion; {PER_MODEL}",
        ),
        Flag(
            "patience",
            "schedule.patience",
            int,
            "end after so many epochs without a better validation average precision; default 8",
        ),
        Flag("batch-size", "schedule.batch_size", int, "over all processes; default 32"),
        Flag("learning-rate", "schedule.learning_rate", float, f"peak, {PER_MODEL}"),
        Flag(
            "backbone-rate",
            "schedule.backbone_rate",
            float,
            "of what is not new, as a share of the peak; default 0.3",
        ),
        Flag("weight-decay", "schedule.weight_decay", float, "default 0.0001"),
        Flag(
            "positive-weight",
            "loss.positive_weight",
            float,
            f"of a true slice-region pair, {PER_MODEL}",
        ),
        Flag("mask-weight", "loss.mask_weight", float, "of the clot masks; default 0"),
        Flag(
            "elsewhere-target",
            "loss.elsewhere_target",
            float,
            "what is wanted of a slice for regions with clot in other slices of the patient, "
            "0 to 1; default 0",
        ),
        Flag(
            "negatives-per-positive",
            "negatives_per_positive",
            float,
            "slices without clot drawn for each with clot; default 1.5",
        ),
        Flag(
            "validation-stride",
            "validation_stride",
            int,
            "score every n-th validation slice after an epoch, and all at the end; default 1",
        ),
        Flag(
            "augmentation",
            "augmentation",
            bool,
            "change pose, contrast, noise and side at random; the source report does not; default "
            "on",
        ),
        Flag("seed", "seed", int, "default 0"),
    ),
    "computing": (
        Flag(
            "precision",
            "precision",
            str,
            "bf16-mixed pays where the CPU has AMX or AVX512-BF16 and is slower elsewhere; "
            "default 32-true",
            ("32-true", "bf16-mixed"),
        ),
        Flag("threads", "processes.threads", int, "of each process; default all cores"),
        Flag(
            "devices",
            "processes.devices",
            int,
            "processes on each machine; the batch is dealt to them; default 1",
        ),
        Flag(
            "nodes",
            "processes.nodes",
            int,
            "machines; start the same command on each with MASTER_ADDR, MASTER_PORT and "
            "NODE_RANK set, on shared folders; default 1",
        ),
    ),
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting; one that is not given leaves no trace."""
    for title, flags in GROUPS.items():
        group = parser.add_argument_group(title)
        for flag in flags:
            _add(group, flag)


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given as flags, as tables."""
    tables: dict[str, Any] = {}
    for flag in (flag for flags in GROUPS.values() for flag in flags):
        if hasattr(options, flag.setting):
            table, _dot, key = flag.setting.rpartition(".")
            place = tables.setdefault(table, {}) if table else tables
            place[key] = getattr(options, flag.setting)
    return tables


def flag_of(setting: str) -> str:
    """Return the flag of a setting such as `schedule.epochs`."""
    return next(
        f"--{flag.name}" for flags in GROUPS.values() for flag in flags if flag.setting == setting
    )


def defaults_table() -> str:
    """Show the defaults that differ from network to network."""
    rows = [("", *MODEL_DEFAULTS)]
    flat = {model: dotted(tables) for model, tables in MODEL_DEFAULTS.items()}
    for flag in (flag for flags in GROUPS.values() for flag in flags):
        values = [flat[model].get(flag.setting) for model in MODEL_DEFAULTS]
        if any(value is not None for value in values):
            shown = ("-" if value is None else str(value) for value in values)
            rows.append((f"--{flag.name}", *shown))
    return "\n".join("  " + "".join(f"{cell:<19}" for cell in row).rstrip() for row in rows)


def _add(group: Any, flag: Flag) -> None:
    text = flag.help.replace("MASKS", _mask_flags())
    common = {"dest": flag.setting, "default": argparse.SUPPRESS, "help": text}
    if flag.kind is bool:
        group.add_argument(f"--{flag.name}", action=argparse.BooleanOptionalAction, **common)
        return
    letter = {int: "N", float: "X", str: "NAME", Path: "PATH"}[flag.kind]
    metavar = None if flag.choices else flag.metavar or letter
    group.add_argument(
        f"--{flag.name}", type=flag.kind, choices=flag.choices, metavar=metavar, **common
    )


def _mask_flags() -> str:
    settings = dotted(MASK_DEFAULTS)
    return " ".join(f"{flag_of(setting)} {value}" for setting, value in settings.items())
