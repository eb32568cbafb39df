# SPDX-License-Identifier: Apache-2.0
"""A bundle of bundles, whose members vote; docs/bundle.md is the specification.

Nothing is used before its hash was seen to be right, here too: SHA256SUMS has the hash of
metadata.json, which has the hash of each member's SHA256SUMS, which has the hashes of its files.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from aminet_runtime.bundle import MEMBERS_FOLDER, METADATA, README, Bundle
from aminet_runtime.bundle_files import (
    MANIFEST,
    hash_file,
    read_manifest,
    read_verified,
    verify,
    write_manifest,
)
from aminet_runtime.decision import DecisionRule
from aminet_runtime.errors import ModelIncompatible, ModelInvalid, ModelUntrusted
from aminet_runtime.metadata import Approach, Metadata, Precision, folder_name
from aminet_runtime.strict_json import JsonObject, parse_object
from aminet_runtime.track_record import SHA256
from aminet_runtime.vote import votes_needed

SCHEMA = "aminet.ensemble-bundle/1"
FEWEST_MEMBERS = 3

CASE_METADATA = 30
CASE_SCHEMA = 40
CASE_MEMBER_CHANGED = 30


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """What an ensemble says about one member.

    Attributes:
        folder: Its folder below `members`.
        manifest_sha256: sha256 (hex) of its SHA256SUMS.
    """

    folder: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class EnsembleMetadata:
    """The values of an ensemble's metadata.json.

    Attributes:
        name: The ensemble's name.
        members: An odd number, at least three.
        versions: Version by tool.
        intended_use: What it is for.
        disclaimer: What every result says.
    """

    name: str
    members: tuple[MemberEntry, ...]
    versions: Mapping[str, str]
    intended_use: str
    disclaimer: str

    @classmethod
    def from_json(cls, data: bytes, *, path: Path) -> Self:
        """Read the bytes of a metadata.json.

        Raises:
            ModelIncompatible: The schema is not the one that this version reads.
            ModelInvalid: It is no JSON, or a key is missing or wrong; the message names the key.
        """

        def refuse(message: str) -> ModelInvalid:
            hint = "export the ensemble again"
            return ModelInvalid(message, case=CASE_METADATA, path=path, hint=hint)

        values = parse_object(data, refuse=refuse)
        if values.text("schema") != SCHEMA:
            raise ModelIncompatible(
                f"the schema is not {SCHEMA}, the only one of ensembles that this version reads",
                case=CASE_SCHEMA,
                path=path,
                hint="install the aminet release that the ensemble was made with",
            )
        return cls(
            name=folder_name(values, "name"),
            members=_members(values),
            versions=values.inner("versions").text_by_key(),
            intended_use=values.text("intended_use"),
            disclaimer=values.text("disclaimer"),
        )

    def to_bytes(self) -> bytes:
        """Return the content of a metadata.json: UTF-8, indented, ending in a line break."""
        values = {
            "schema": SCHEMA,
            "name": self.name,
            "approach": Approach.ENSEMBLE.value,
            "vote": "majority",
            "members": [
                {"folder": member.folder, "sha256sums": member.manifest_sha256}
                for member in self.members
            ],
            "versions": dict(self.versions),
            "intended_use": self.intended_use,
            "disclaimer": self.disclaimer,
        }
        return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True, slots=True)
class EnsembleBundle:
    """An ensemble whose files were verified; use `EnsembleBundle.open`.

    Attributes:
        path: The folder.
        metadata: What it says as one bundle: the members' regions, the channels of all of them, and
            a rule that asks for a majority.
        members: The voters.
    """

    path: Path
    metadata: Metadata
    members: tuple[Bundle, ...]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read an ensemble and verify all files of all members.

        Raises:
            ModelInvalid: The folder is no ensemble, its metadata cannot be read, or its members do
                not answer for the same regions.
            ModelUntrusted: A file is missing, was changed, or is no regular file in the folder.
            ModelIncompatible: It was made for another version of the runtime.
        """
        folder = Path(path)
        hashes = read_manifest(folder)
        data = read_verified(folder, METADATA, hashes=hashes)
        for name in sorted({README, *hashes} - {METADATA}):
            verify(folder, name, hashes=hashes)
        said = EnsembleMetadata.from_json(data, path=folder / METADATA)
        members = tuple(_open_member(folder, entry) for entry in said.members)
        _require_same_regions(members, path=folder)
        return cls(folder, _as_one(said, members), members)

    @property
    def name(self) -> str:
        """The ensemble's own name, whatever its folder is called."""
        return self.metadata.name


def member_entry(member: Path) -> MemberEntry:
    """Return what an ensemble must say about a bundle that lies in its folder `members`.

    Raises:
        ModelUntrusted: The bundle has no SHA256SUMS.
    """
    return MemberEntry(member.name, hash_file(member / MANIFEST))


def write_ensemble_checksums(folder: Path) -> None:
    """Write SHA256SUMS over what lies beside the members, which have checksums of their own.

    Raises:
        ModelUntrusted: The folder holds something that an ensemble may not hold.
        OutputNotWritable: SHA256SUMS cannot be written.
    """
    write_manifest(folder, apart_from=[MEMBERS_FOLDER])


def ensemble_id(members: Sequence[MemberEntry]) -> str:
    """Return the id of an ensemble: sha256 (hex) over the hashes of its members, in their order.

    They stand for the members' networks and for their decision rules, which both decide.
    """
    return hashlib.sha256("".join(one.manifest_sha256 for one in members).encode()).hexdigest()


def _members(values: JsonObject) -> tuple[MemberEntry, ...]:
    if values.text("vote") != "majority":
        raise values.error("vote", "is not majority")
    listed = values.objects("members")
    members = tuple(
        MemberEntry(folder_name(one, "folder"), one.text("sha256sums")) for one in listed
    )
    if len(members) < FEWEST_MEMBERS or len(members) % 2 == 0:
        raise values.error("members", "are not an odd number of at least three")
    if len({member.folder.casefold() for member in members}) != len(members):
        raise values.error("members", "name a folder twice")
    if not all(SHA256.fullmatch(member.manifest_sha256) for member in members):
        raise values.error("members", "hold something else than sha256 sums")
    return members


def _open_member(folder: Path, entry: MemberEntry) -> Bundle:
    """Open a member if its SHA256SUMS is the published one; it is hashed before it is parsed."""
    place = folder / MEMBERS_FOLDER / entry.folder
    if place.is_symlink() or place.parent.is_symlink():
        raise ModelUntrusted(
            "this is a link, not a folder of the ensemble",
            case=CASE_MEMBER_CHANGED,
            path=place,
            hint="copy the bundle again from where it was published",
        )
    if hash_file(place / MANIFEST) != entry.manifest_sha256:
        raise ModelUntrusted(
            "this member is not the published one: the hash of its SHA256SUMS differs",
            case=CASE_MEMBER_CHANGED,
            path=place,
            hint="copy the bundle again from where it was published",
        )
    return Bundle.open(place)


def _require_same_regions(members: tuple[Bundle, ...], *, path: Path) -> None:
    if len({member.metadata.regions.names for member in members}) != 1:
        raise ModelInvalid(
            "the members do not answer for the same regions",
            case=CASE_METADATA,
            path=path,
            hint="export the ensemble again, of bundles for one atlas",
        )


def _as_one(said: EnsembleMetadata, members: tuple[Bundle, ...]) -> Metadata:
    """Return the metadata of the ensemble as if it were one network."""
    first = members[0].metadata
    channels = dict.fromkeys(
        channel for member in members for channel in member.metadata.input.channels
    )
    precisions = {member.metadata.precision for member in members}
    return replace(
        first,
        model_id=ensemble_id(said.members),
        name=said.name,
        approach=Approach.ENSEMBLE,
        precision=first.precision if len(precisions) == 1 else Precision.MIXED,
        input=replace(first.input, channels=tuple(channels)),
        decision=DecisionRule(_shares(members), min_consecutive_slices=1),
        metrics=None,
        versions=said.versions,
        intended_use=said.intended_use,
        disclaimer=said.disclaimer,
    )


def _shares(members: tuple[Bundle, ...]) -> tuple[float | None, ...]:
    """Return the share of votes that each region needs; None where too few members assess it."""
    needed = votes_needed(len(members))
    rules = zip(*(member.metadata.decision.thresholds for member in members), strict=True)
    return tuple(
        needed / len(members) if sum(one is not None for one in rule) >= needed else None
        for rule in rules
    )
