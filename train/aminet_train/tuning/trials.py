# SPDX-License-Identifier: Apache-2.0
"""The trials of a search on disk: our own journal, JSON only.

    OUT/
      search.json            model, cohorts, space, settings, epochs: written by `plan`
      owner                  which search may begin trials: the last one that was started
      trials/<id>/
        trial.json           the parameters
        epochs.json          what each epoch measured, so far
        ended.json           done, stopped (by ASHA) or failed; not there yet: it goes on
        run/                 the training run, which goes on after a kill

A search goes on from these files alone. Ray keeps state of its own, with pickles, in a scratch
folder that is never read again: so no file that someone else made can run code here.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from aminet_runtime.errors import InputDamaged, InputInconsistent
from aminet_runtime.publish import write_whole

METRIC = "slice_ap"
"""Average precision of validation pairs: what training keeps its best weights by."""

TRIALS_FOLDER = "trials"
RUN_FOLDER = "run"
OWNER_FILE = "owner"


class Outcome(StrEnum):
    """How a trial ended."""

    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial, as far as it has come.

    Attributes:
        folder: Where it is.
        parameters: Dotted keys of settings, and their values.
        epochs: One entry an epoch, in order.
        outcome: None while it goes on.
        reason: Why it failed.
    """

    folder: Path
    parameters: Mapping[str, Any]
    epochs: tuple[Mapping[str, float], ...] = ()
    outcome: Outcome | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """Its id, a hash of the parameters."""
        return self.folder.name

    @property
    def run(self) -> Path:
        """Folder of its training run."""
        return self.folder / RUN_FOLDER

    @property
    def best(self) -> Mapping[str, float] | None:
        """The epoch with the highest average precision; None before the first has ended."""
        return max(self.epochs, key=lambda epoch: epoch[METRIC], default=None)

    @property
    def score(self) -> float:
        """Average precision of the best epoch; 0 before the first has ended."""
        return 0.0 if self.best is None else float(self.best[METRIC])


def own(output: Path) -> str:
    """Take a folder over from an earlier search, whose workers may outlive it for a moment.

    Returns:
        What the workers of this search show to begin a trial.
    """
    owner = secrets.token_hex(8)
    write_whole(output / OWNER_FILE, owner.encode())
    return owner


def require_owner(output: Path, owner: str) -> None:
    """Refuse a worker whose search was killed and started again since.

    Raises:
        InputInconsistent: The folder belongs to another search by now.
    """
    if (output / OWNER_FILE).read_bytes() != owner.encode():
        raise InputInconsistent(
            "another search has taken this folder over", path=output, hint="wait for its end"
        )


def begin_trial(output: Path, parameters: Mapping[str, Any]) -> Trial:
    """Make the folder of a trial, or open the one that is there."""
    text = json.dumps(dict(sorted(parameters.items())))
    folder = output / TRIALS_FOLDER / hashlib.sha256(text.encode()).hexdigest()[:10]
    if (folder / "trial.json").exists():
        return read_trial(folder)
    _write(folder / "trial.json", dict(parameters))
    return Trial(folder, dict(parameters))


def record_epoch(trial: Trial, measured: Mapping[str, float]) -> Trial:
    """Write down an epoch; one that is there already is replaced."""
    kept = [epoch for epoch in trial.epochs if epoch["epoch"] < measured["epoch"]]
    epochs = (*kept, dict(measured))
    _write(trial.folder / "epochs.json", epochs)
    return Trial(trial.folder, trial.parameters, epochs)


def record_end(folder: Path, outcome: Outcome, reason: str = "") -> None:
    """Write down how a trial ended, unless that is known already."""
    if not (folder / "ended.json").exists():
        _write(folder / "ended.json", {"outcome": outcome.value, "reason": reason})


def read_trials(output: Path) -> list[Trial]:
    """Read all trials, in the order in which they began."""
    folders = [path.parent for path in (output / TRIALS_FOLDER).glob("*/trial.json")]
    folders.sort(key=lambda folder: ((folder / "trial.json").stat().st_mtime_ns, folder.name))
    return [read_trial(folder) for folder in folders]


def read_trial(folder: Path) -> Trial:
    """Read one trial.

    Raises:
        InputDamaged: A file is not what we wrote.
    """
    ended = _read(folder / "ended.json") or {}
    try:
        return Trial(
            folder=folder,
            parameters=dict(_read(folder / "trial.json") or {}),
            epochs=tuple(_read(folder / "epochs.json") or ()),
            outcome=Outcome(ended["outcome"]) if ended else None,
            reason=str(ended.get("reason", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise InputDamaged(
            f"not a trial: {cause}", path=folder, hint="delete the folder; it is run again"
        ) from cause


def _write(path: Path, values: object) -> None:
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as cause:
        raise InputDamaged(
            f"not JSON: {cause}", path=path, hint="delete the trial's folder; it is run again"
        ) from cause
