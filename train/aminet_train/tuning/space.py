# SPDX-License-Identifier: Apache-2.0
"""What aminet-tune searches: the source report's spaces, as keys of aminet-train's settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aminet_train.cohort.prepared import PreparedCohort

SIZE = "size_px"
"""The one parameter that is no setting: which prepared cohorts are read."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two bounds.

    Attributes:
        low: Lowest value.
        high: Highest value.
        is_logarithmic: Whether factors are equally likely, not differences.
        flag: Of aminet-train.
    """

    low: float
    high: float
    flag: str
    is_logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values.

    Attributes:
        values: Numbers or texts.
        flag: Of aminet-train.
    """

    values: tuple[int | str, ...]
    flag: str


Space = Mapping[str, Range | Choice]

_LEARNING: Space = {
    "schedule.learning_rate": Range(0.0005, 0.01, "--learning-rate", is_logarithmic=True),
    "loss.positive_weight": Range(10.0, 90.0, "--positive-weight"),
}
_SIMPLE_CNN: Space = {
    **_LEARNING,
    "network.activation": Choice(("relu", "sigmoid", "tanh"), "--activation"),
    "network.dropout": Range(0.1, 0.4, "--dropout"),
    "network.features": Choice((128, 256, 512), "--features"),
    "network.pool": Choice((2, 4), "--pool"),
    "network.extra_layers": Choice((0, 1, 2), "--extra-layers"),
}
SPACES: Mapping[str, Space] = {
    "simple_cnn": _SIMPLE_CNN,
    "mobilenetv2": _LEARNING,
    "efficientformerv2": _LEARNING,
}
"""By model. Source: the report's sections on the simple CNN and on transfer learning."""


def space_of(model: str, sizes: Sequence[int]) -> Space:
    """Return a model's space; the input size is searched where cohorts of several are given."""
    space = SPACES[model]
    return {**space, SIZE: Choice(tuple(sorted(sizes)), "--data")} if len(sizes) > 1 else space


def cohorts_by_size(roots: Sequence[Path]) -> dict[int, tuple[Path, ...]]:
    """Sort prepared cohorts by the height of their slices, paths made absolute."""
    by_size: dict[int, tuple[Path, ...]] = {}
    for root in roots:
        height = PreparedCohort.open(root).preprocessing.size_px[0]
        by_size[height] = (*by_size.get(height, ()), root.resolve())
    return by_size


def as_tables(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted keys into tables, as aminet-train's TOML has them; the size is left out."""
    tables: dict[str, Any] = {}
    for key, value in parameters.items():
        if key != SIZE:
            table, _, name = key.partition(".")
            tables.setdefault(table, {})[name] = value
    return tables


def as_flags(parameters: Mapping[str, Any], space: Space) -> list[str]:
    """Write parameters as flags of aminet-train."""
    return [
        text
        for key, value in parameters.items()
        if key != SIZE
        for text in (space[key].flag, f"{value:.6g}" if isinstance(value, float) else str(value))
    ]
