# SPDX-License-Identifier: Apache-2.0
"""Judge what a host answered for a kit.

Answers are one JSON object:

    {"schema": "aminet.conformance-answers/1",
     "slices": [[15 numbers], ..],               in the order of the kit
     "patients": {"RAS": RESULT, ..},            docs/result.md, with `slices`
     "decisions": [{"regions": [..]}, ..]}       in the order of the kit

All parts must be there: a port that leaves one out has not been checked.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aminet_benchmarks.conformance.kit import KIT_JSON, SCHEMA
from aminet_runtime.errors import InputDamaged, InputMissing, InputUnsupported

ANSWERS_SCHEMA = "aminet.conformance-answers/1"
EXACT = 0.0

CASE_ABSENT = 30
CASE_NO_JSON = 30
CASE_SCHEMA = 31
CASE_KIT = 30

Json = Mapping[str, Any]


def check_answers(kit: Path, answers: Path) -> list[str]:
    """Compare a host's answers with a kit.

    Args:
        kit: The kit's folder.
        answers: The JSON file that the host wrote.

    Returns:
        What is wrong, one sentence each; nothing if the port is right.

    Raises:
        InputMissing: A file is not there.
        InputUnsupported: A file is no JSON of the schema.
        InputDamaged: The kit is not what `write_kit` writes.
    """
    expected = _read(kit / KIT_JSON, schema=SCHEMA)
    answered = _read(answers, schema=ANSWERS_SCHEMA)
    try:
        return _compare(expected, answered)
    except (KeyError, TypeError, ValueError) as cause:  # of the kit: answers are asked for by _item
        raise InputDamaged(
            f"is no whole kit ({cause!r})",
            case=CASE_KIT,
            path=kit / KIT_JSON,
            hint="write it again",
        ) from cause


def _compare(expected: Json, answered: Json) -> list[str]:
    tolerance = float(expected["tolerance"]["probability"])
    return [
        *_check_slices(expected["slices"], answered.get("slices"), tolerance),
        *_check_patients(expected["patients"], answered.get("patients"), tolerance),
        *_check_decisions(expected["decisions"], answered.get("decisions")),
    ]


def _read(path: Path, *, schema: str) -> Json:
    try:
        values = json.loads(path.read_bytes())
    except OSError as cause:
        raise InputMissing(f"cannot be read ({cause.strerror})", case=CASE_ABSENT, path=path) from (
            cause
        )
    except ValueError as cause:
        raise InputUnsupported(f"is no JSON ({cause})", case=CASE_NO_JSON, path=path) from cause
    if not isinstance(values, dict) or values.get("schema") != schema:
        raise InputUnsupported(
            "has another schema", case=CASE_SCHEMA, path=path, hint=f"{schema} is needed"
        )
    return values


def _check_slices(expected: Sequence[Json], answered: Any, tolerance: float) -> Iterator[str]:
    for index, one in enumerate(expected):
        where = f"slice {index}"
        yield from _check_rows(where, [one["probabilities"]], [_item(answered, index)], tolerance)


def _check_patients(expected: Sequence[Json], answered: Any, tolerance: float) -> Iterator[str]:
    for one in expected:
        where = f"patient {one['name']}"
        result = _item(answered, one["name"])
        rows = _item(_item(result, "slices"), "probabilities")
        yield from _check_rows(where, one["probabilities"], rows, tolerance)
        yield from _check_regions(where, one["regions"], _item(result, "regions"), tolerance)


def _check_decisions(expected: Sequence[Json], answered: Any) -> Iterator[str]:
    for index, one in enumerate(expected):
        regions = _item(_item(answered, index), "regions")
        yield from _check_regions(f"decision '{one['name']}'", one["regions"], regions, EXACT)


def _check_rows(
    where: str, expected: Sequence[Sequence[float]], answered: Any, tolerance: float
) -> Iterator[str]:
    if not isinstance(answered, list) or len(answered) != len(expected):
        yield f"{where}: {len(expected)} slices of probabilities are needed"
        return
    largest = max(map(_difference, expected, answered))
    if not largest <= tolerance:
        yield f"{where}: a probability differs by {largest:.3g}, {tolerance:g} is allowed"


def _difference(expected: Sequence[float], answered: Any) -> float:
    """Return the largest difference of two rows; infinite if they are not alike."""
    if not isinstance(answered, list) or len(answered) != len(expected):
        return float("inf")
    return max(
        abs(wanted - given) if _is_number(given) else float("inf")
        for wanted, given in zip(expected, answered, strict=True)
    )


def _check_regions(
    where: str, expected: Sequence[Json], answered: Any, tolerance: float
) -> Iterator[str]:
    if not isinstance(answered, list) or len(answered) != len(expected):
        yield f"{where}: {len(expected)} regions are needed"
        return
    for wanted, given in zip(expected, answered, strict=True):
        wrong = [key for key in wanted if not _agree(key, wanted, given, tolerance)]
        if wrong:
            said = ", ".join(f"{key} {_item(given, key)} for {wanted[key]}" for key in wrong)
            yield f"{where}: {wanted['name']}: {said}"


def _agree(key: str, wanted: Json, given: Any, tolerance: float) -> bool:
    """Compare one key of a region; what hangs on a score next to its threshold may go either way.

    Slices are compared exactly in the kit's decisions, where the scores are given.
    """
    value = _item(given, key)
    if wanted[key] is None or key in {"index", "name"}:
        return bool(value == wanted[key])
    if key == "probability":
        return _is_number(value) and abs(value - wanted[key]) <= tolerance
    if key == "threshold" or tolerance == EXACT:
        return bool(value == wanted[key])
    if key == "affected":
        is_near = abs(wanted["probability"] - wanted["threshold"]) <= tolerance
        return isinstance(value, bool) and (is_near or value == wanted[key])
    if key == "slices":  # ties within the tolerance; the rows were compared
        return isinstance(value, list) and all(map(_is_slice, value))
    return key == "peak_slice" and _is_slice(value)


def _item(values: Any, key: str | int) -> Any:
    """Return a part of the host's JSON, None where it is not there."""
    if isinstance(key, str):
        return values.get(key) if isinstance(values, dict) else None
    return values[key] if isinstance(values, list) and key < len(values) else None


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number that can be compared; Python's JSON reads NaN, too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _is_slice(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
