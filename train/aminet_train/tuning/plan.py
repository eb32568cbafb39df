# SPDX-License-Identifier: Apache-2.0
"""A search as it was asked for, and search.json, which tells whether a folder holds the same one.

What decides how a trial comes out is compared: network, cohorts, space, settings, and the epochs
that trials may have. How many trials there are, who computes them and the seed may change.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aminet_runtime.errors import InputDamaged, InputInconsistent, UsageError
from aminet_runtime.publish import write_whole
from aminet_train.settings import dotted
from aminet_train.tuning.space import Choice, Range, Space
from aminet_train.tuning.trials import Trial

SEARCH_FILE = "search.json"

_LEAST = {
    "trials": ("--trials", 1),
    "epochs": ("--epochs", 1),
    "grace_epochs": ("--grace", 1),
    "reduction": ("--reduction", 2),  # ASHA: one in so many goes on
    "cpus": ("--cpus", 1),
    "seed": ("--seed", 0),
}

_LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class TunePlan:
    """A search.

    Attributes:
        model: Which network.
        data: Input size to prepared cohorts.
        output: Folder of the search, on a file system that all machines share.
        space: What is searched.
        settings: Settings of aminet-train that all trials share, as tables.
        trials: How many.
        epochs: Of the longest trials.
        grace_epochs: Of the shortest ones.
        reduction: ASHA lets one in so many go on at each rung.
        cpus: CPUs of one trial.
        address: Of a Ray cluster; None starts Ray on this machine.
        seed: Of the search.
    """

    model: str
    data: Mapping[int, tuple[Path, ...]]
    output: Path
    space: Space
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 20
    epochs: int = 20
    grace_epochs: int = 4
    reduction: int = 2
    cpus: int = 1
    address: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a search that cannot be meant."""
        for name, (option, least) in _LEAST.items():
            if getattr(self, name) < least:
                raise UsageError(f"{option} {getattr(self, name)} is below {least}")


def require_same_search(plan: TunePlan, known: Sequence[Trial]) -> None:
    """Refuse to go on with another search, and write search.json for the first trials.

    Args:
        plan: The search.
        known: Trials in the folder; without any it holds no search yet. Those without search.json
            are an older version's: only the names of their parameters can be compared.

    Raises:
        InputInconsistent: The folder holds another search.
        InputDamaged: search.json is not what we wrote.
    """
    path = plan.output / SEARCH_FILE
    wanted = _to_json(plan)
    if known and path.exists():
        _require_same(_read_by_option(path), _by_option(wanted), plan.output)
        return
    _require_same_names(known, plan)
    write_whole(path, (json.dumps(wanted, indent=1) + "\n").encode())


def _to_json(plan: TunePlan) -> dict[str, Any]:
    """Return what makes the search as plain JSON values, cohorts by the names of their folders."""
    values = {
        "model": plan.model,
        "data": {size: [path.name for path in plan.data[size]] for size in sorted(plan.data)},
        "space": {name: _range_to_json(one) for name, one in plan.space.items()},
        "settings": plan.settings,
        "epochs": plan.epochs,
        "grace_epochs": plan.grace_epochs,
        "reduction": plan.reduction,
    }
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))  # TOML has dates, too
    return plain


def _range_to_json(one: Range | Choice) -> dict[str, Any]:
    values = asdict(one)
    del values["flag"]  # changes nothing of a trial
    return values


def _require_same(held: Mapping[str, Any], wanted: Mapping[str, Any], output: Path) -> None:
    for name in {**wanted, **held}:
        has, asked = held.get(name, _LEFT_OUT), wanted.get(name, _LEFT_OUT)
        if has != asked:
            raise InputInconsistent(
                f"the folder holds a search with {name} {has}, not {asked}",
                path=output,
                hint="choose another --output",
            )


def _read_by_option(path: Path) -> dict[str, Any]:
    try:
        return _by_option(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise InputDamaged(
            f"not a search: {cause}", path=path, hint="choose another --output"
        ) from cause


def _by_option(search: Mapping[str, Any]) -> dict[str, Any]:
    """Name each value as users do; the space comes last, since it follows from the options."""
    cohorts = [f"{name} ({size} px)" for size, names in search["data"].items() for name in names]
    return {
        "--model": search["model"],
        "--data": ", ".join(cohorts),
        **dotted(search["settings"], "--config "),
        "--epochs": search["epochs"],
        "--grace": search["grace_epochs"],
        "--reduction": search["reduction"],
        **dotted(search["space"], "the space of "),
    }


def _require_same_names(known: Sequence[Trial], plan: TunePlan) -> None:
    for trial in known:
        if set(trial.parameters) != set(plan.space):
            raise InputInconsistent(
                "the folder holds trials of another search",
                path=plan.output,
                hint="choose another --output",
            )
