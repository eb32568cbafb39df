# SPDX-License-Identifier: Apache-2.0
"""Majority vote of an odd number of models, each with its own decision rule.

    ENSEMBLE/
      ensemble.json              members, their approaches and the sha256 of each of their files
      members/1-NAME/...         each member whole: a checkpoint or a bundle

An ensemble is self-contained: members are copied, so that what was evaluated is what is exported.
The vote is on decisions: at slice level on each member's flags of a (slice, region) pair, at
patient level on each member's flags of a region, which come of its own thresholds and its own
slices in a row. So members need not be calibrated alike. With an odd number there is no draw.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aminet_runtime.bundle import MEMBERS_FOLDER, METADATA, Bundle
from aminet_runtime.ensemble_bundle import FEWEST_MEMBERS
from aminet_runtime.errors import (
    InputInconsistent,
    ModelIncompatible,
    ModelInvalid,
    ModelUntrusted,
    UsageError,
)
from aminet_runtime.publish import publish_folder
from aminet_runtime.regions import Regions
from aminet_train.checkpoint import load_info, run_name

SCHEMA = "aminet.ensemble/1"
ENSEMBLE_FILE = "ensemble.json"

_PROPER_NAME = re.compile(r"\d+-[^/\\\0]+")
"""Begins with its number, so it is neither empty nor a way out of the folder."""


@dataclass(frozen=True, slots=True)
class Member:
    """One voter of an ensemble.

    Attributes:
        name: Of its folder below `members`.
        folder: Where it is.
        approach: How it answers.
        is_bundle: Whether it is a bundle; else it is a checkpoint.
    """

    name: str
    folder: Path
    approach: str
    is_bundle: bool


@dataclass(frozen=True, slots=True)
class Ensemble:
    """An ensemble whose members' files are those that were put together.

    Attributes:
        folder: Where it is.
        members: The voters, an odd number of at least three.
        regions: What all of them answer for.
        leaking: Whether one of them learned from a split by slices.
    """

    folder: Path
    members: tuple[Member, ...]
    regions: Regions
    leaking: bool

    @property
    def votes_needed(self) -> int:
        """Votes that make a pair flagged: more than half of the members."""
        return len(self.members) // 2 + 1


def is_ensemble(folder: Path) -> bool:
    """Whether this is the folder of an ensemble."""
    return (folder / ENSEMBLE_FILE).is_file()


def is_bundle(folder: Path) -> bool:
    """Whether this is the folder of a bundle."""
    return (folder / METADATA).is_file()


def assemble(members: Sequence[Path], target: Path) -> Path:
    """Put checkpoints or bundles together to an ensemble; the folder appears whole or not at all.

    Args:
        members: Their folders; an odd number, at least three.
        target: Of the ensemble; must not exist.

    Raises:
        UsageError: The number is even or too low, or a member is named twice.
        ModelError: A member cannot be read.
        InputInconsistent: Members answer for different regions.
    """
    _require_odd(members)
    opened = [_open_member(folder) for folder in members]
    regions = [_about(member)[0] for member in opened]
    if any(other != regions[0] for other in regions):
        raise InputInconsistent(
            "the members answer for different regions", hint="train them on the same cohorts"
        )
    with publish_folder(target) as building:
        listed = []
        for number, member in enumerate(opened, start=1):
            name = f"{number}-{member.name}"
            copy = building / MEMBERS_FOLDER / name
            shutil.copytree(member.folder, copy)
            listed.append({"name": name, "approach": member.approach, "sha256": _hashes(copy)})
        values = {"schema": SCHEMA, "vote": "majority", "members": listed}
        (building / ENSEMBLE_FILE).write_text(json.dumps(values, indent=1) + "\n")
    return target


def load_ensemble(folder: Path) -> Ensemble:
    """Read an ensemble and verify that its members are those that were put together.

    Raises:
        ModelInvalid: It cannot be read.
        ModelIncompatible: It has another format version.
        ModelUntrusted: A file of a member is missing, new or was changed.
    """
    members = tuple(_verified(folder, listed) for listed in _read_members(folder))
    about = [_about(member) for member in members]
    return Ensemble(folder, members, about[0][0], leaking=any(leaks for _, leaks in about))


def _require_odd(members: Sequence[Path]) -> None:
    if len(members) < FEWEST_MEMBERS or len(members) % 2 == 0:
        raise UsageError(
            f"{len(members)} members cannot vote without a draw", hint="name 3, 5 or 7 models"
        )
    if len({folder.resolve() for folder in members}) != len(members):
        raise UsageError("a member is named twice", hint="name different models")


def _open_member(folder: Path) -> Member:
    if is_ensemble(folder):
        raise UsageError("an ensemble cannot be a member", path=folder, hint="name its members")
    name = run_name(folder)
    if is_bundle(folder):
        return Member(name, folder, Bundle.open(folder).metadata.approach.value, is_bundle=True)
    return Member(name, folder, load_info(folder).approach.value, is_bundle=False)


def _about(member: Member) -> tuple[Regions, bool]:
    if member.is_bundle:
        return Bundle.open(member.folder).metadata.regions, False
    info = load_info(member.folder)
    return info.regions, info.leaking


def _read_members(folder: Path) -> list[dict[str, Any]]:
    path = folder / ENSEMBLE_FILE
    try:
        values = json.loads(path.read_bytes())
        schema, listed = values["schema"], values["members"]
        names = [str(member["name"]) for member in listed]
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ModelInvalid(
            f"not an ensemble: {cause}", path=path, hint="put it together again"
        ) from cause
    if schema != SCHEMA:
        raise ModelIncompatible(f"format {schema!r}, this version reads {SCHEMA!r}", path=path)
    if len(names) < FEWEST_MEMBERS or not all(map(_PROPER_NAME.fullmatch, names)):
        raise ModelInvalid("the members have no proper names", path=path)
    members: list[dict[str, Any]] = listed
    return members


def _verified(folder: Path, listed: dict[str, Any]) -> Member:
    place = folder / MEMBERS_FOLDER / listed["name"]
    if not place.is_dir() or _hashes(place) != listed["sha256"]:
        raise ModelUntrusted(
            "this member is not the one that was put in", path=place, hint="put it together again"
        )
    return Member(listed["name"], place, str(listed["approach"]), is_bundle=is_bundle(place))


def _hashes(folder: Path) -> dict[str, str]:
    """Return sha256 (hex) of each file below a folder, by its relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
