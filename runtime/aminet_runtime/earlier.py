# SPDX-License-Identifier: Apache-2.0
"""The result of an earlier run, and whether it still answers for a patient.

It does if the same network with the same decision rule has read the same bytes: then another run
would say the same. All of it is compared; a time stamp proves nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from aminet_runtime.byte_source import hash_regular_file
from aminet_runtime.errors import InputError, printable
from aminet_runtime.metadata import Metadata
from aminet_runtime.patient import PatientFolder
from aminet_runtime.result import SCHEMA, to_json_line
from aminet_runtime.sessions import AnySession
from aminet_runtime.strict_json import JsonObject, parse_object

MAX_RESULT_BYTES = 64 * 2**20  # 2048 slices with 15 numbers of 20 digits are 0.7 MB


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """What an earlier run wrote.

    Attributes:
        values: The JSON of it.
        created: When it was made, as it says.
        flagged: Names of the regions that it flagged.
        warning_count: How many warnings it has.
    """

    values: Mapping[str, object]
    created: str
    flagged: tuple[str, ...]
    warning_count: int


class _NotUsableError(Exception):
    """The file is not a result, or not one that answers for this run."""


def find_earlier(
    path: Path, patient: Path, session: AnySession, *, with_slices: bool
) -> EarlierResult | None:
    """Return the result of an earlier run if this run would say the same.

    Args:
        path: Where the result may be.
        patient: The patient's folder; its files are hashed.
        session: What would run.
        with_slices: Whether this run would write the scores of all slices.
    """
    metadata = session.bundle.metadata
    try:
        values = parse_object(_read(path), refuse=_NotUsableError)
        _require(values.text("schema") == SCHEMA and values.text("status") == "ok")
        _require(values.has("slices") == with_slices)
        _require(values.inner("model").plain() == asdict(session.model_reference()))
        regions = values.objects("regions")
        _require_rule(values, regions, session)
        _require(values.inner("input").inner("files").text_by_key() == _hashes(patient, metadata))
        return EarlierResult(
            values=_printable_values(values),
            created=values.text("created"),
            flagged=tuple(one.text("name") for one in regions if one.boolean_or_none("affected")),
            warning_count=len(values.objects("warnings")),
        )
    except (_NotUsableError, OSError, InputError):
        return None


def _require(holds: bool) -> None:  # noqa: FBT001 - it is the statement itself
    if not holds:
        raise _NotUsableError


def _read(path: Path) -> bytes:
    """Read a file of ours; one that is no regular file, or too large, is none."""
    _require(path.is_file() and path.stat().st_size <= MAX_RESULT_BYTES)
    return path.read_bytes()


def _require_rule(values: JsonObject, regions: list[JsonObject], session: AnySession) -> None:
    """Compare the decision rule, which is no part of the network."""
    metadata = session.bundle.metadata
    _require(values.count("min_consecutive_slices") == metadata.decision.min_consecutive_slices)
    _require(tuple(one.text("name") for one in regions) == metadata.regions.names)
    # where members abstain a vote may stay open, and their rules are a part of the ensemble's id
    may_be_open = len(session.members) > 1
    for one, wanted in zip(regions, metadata.decision.thresholds, strict=True):
        threshold = one.number_or_none("threshold")
        _require(threshold == wanted or (threshold is None and may_be_open))


def _printable_values(values: JsonObject) -> Mapping[str, object]:
    """Return the values if they are JSON again: 1e999 is read as a number that JSON has not."""
    plain = values.plain()
    try:
        to_json_line(plain)
    except (ValueError, RecursionError) as cause:
        raise _NotUsableError from cause
    return plain


def _hashes(patient: Path, metadata: Metadata) -> dict[str, str]:
    """Hash the files that the network would read, by their printable names."""
    folder = PatientFolder.open(patient)
    paths = [folder.path_of(channel) for channel in metadata.input.channels]
    return {printable(path.name): hash_regular_file(path) for path in paths}
