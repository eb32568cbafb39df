# SPDX-License-Identifier: Apache-2.0
"""A stage of the study: one command as a user would type it, and what it leaves behind."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from aminet_runtime.errors import InputDamaged
from aminet_runtime.publish import write_whole

CORE_OPTIONS = ("--jobs", "--threads")
"""How many cores do the work; what is made is the same."""


class Again(StrEnum):
    """What to do with a stage that was stopped on its way."""

    SAME = "same"
    """The same command goes on where it stopped, or begins anew by itself."""

    RESUME = "resume"
    """`aminet-train --resume` goes on."""

    ANEW = "anew"
    """The command wants an empty place: what an earlier attempt left there is removed first."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One command of the study; it runs inside of the study's folder.

    Attributes:
        name: Unique within a study.
        command: One of our commands and its words; paths are relative to the study's folder.
        output: What it writes, relative to the study's folder; log and record lie beside it.
        again: What to do if it was stopped.
    """

    name: str
    command: tuple[str, ...]
    output: Path
    again: Again = Again.SAME

    @property
    def log(self) -> Path:
        """Where all is kept that the command said, relative to the study's folder."""
        return self.output.with_name(f"{self.output.name}.log")

    @property
    def record(self) -> Path:
        """Where it stands that the stage has ended, relative to the study's folder."""
        return self.output.with_name(f"{self.output.name}.stage.json")


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a stage that was begun.

    Attributes:
        command: The words that were run.
        wall_s: From start to exit; of all attempts together, those that were stopped, too, but
            not of one that was killed with the study itself.
        cpu_s: Processor time of the same.
        attempts: How often it was started.
        ended: UTC, ISO 8601; None as long as it has not ended well.
    """

    command: tuple[str, ...]
    wall_s: float
    cpu_s: float
    attempts: int
    ended: str | None

    def is_of(self, stage: Stage) -> bool:
        """Tell whether this was the work of a stage, on however many cores."""
        return _without_cores(self.command) == _without_cores(stage.command)


def read_record(root: Path, stage: Stage) -> Record | None:
    """Read what is known of a stage; None if it was never started.

    Raises:
        InputDamaged: The file is not what `write_record` writes.
    """
    path = root / stage.record
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_bytes())
        return Record(**{**values, "command": tuple(values["command"])})
    except (ValueError, KeyError, TypeError) as cause:
        raise InputDamaged(
            f"not the record of a stage: {cause}",
            path=path,
            hint="remove it, and what the stage wrote",
        ) from cause


def write_record(root: Path, stage: Stage, record: Record) -> None:
    """Write the record of a stage, whole or not at all."""
    content = json.dumps(asdict(record), indent=1) + "\n"
    write_whole(root / stage.record, content.encode())


def _without_cores(command: Sequence[str]) -> list[str]:
    words = iter(command)
    kept = []
    for word in words:
        if word in CORE_OPTIONS:
            next(words, None)
        else:
            kept.append(word)
    return kept
