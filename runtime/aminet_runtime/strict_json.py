# SPDX-License-Identifier: Apache-2.0
"""Parsed JSON with types: each value is read by its key and is what it should be, or an error.

Files from elsewhere are read through this. Keys that are not asked for are ignored, so that a
later minor version may add some.
"""

import json
import math
from collections.abc import Callable

Refuse = Callable[[str], Exception]
"""Makes the error to raise from a message, such as `decision.thresholds: ...`."""


def parse_object(data: bytes, *, refuse: Refuse) -> "JsonObject":
    """Parse the bytes of a JSON file that holds one object.

    Args:
        data: The file's content.
        refuse: Makes the error of each failure, here and in all values below.

    Raises:
        Exception: What `refuse` makes, if the bytes are no UTF-8 or no JSON object, hold a key
            twice, or numbers that JSON does not know (NaN, Infinity).
    """
    try:
        values = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as cause:
        raise refuse(f"is not valid JSON ({cause})") from cause
    return JsonObject(values, refuse=refuse)


class JsonObject:
    """One JSON object whose values are read by key."""

    def __init__(self, values: object, *, refuse: Refuse, place: str = "") -> None:
        """Wrap a parsed object.

        Args:
            values: What the JSON parser returned.
            refuse: Makes the error to raise.
            place: Keys that lead here, for messages, such as `input`; empty at the top.
        """
        if not isinstance(values, dict):
            raise refuse(f"{place or 'the content'} is {_kind(values)}, an object is needed")
        self._values = values
        self._refuse = refuse
        self._place = place

    def text(self, key: str) -> str:
        """Read a non-empty text."""
        value = self._get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"is {_kind(value)}, a non-empty text is needed")
        return value

    def number(self, key: str) -> float:
        """Read a finite number."""
        return self._number(key, self._get(key))

    def number_or_none(self, key: str) -> float | None:
        """Read a finite number or null."""
        return None if self._get(key) is None else self.number(key)

    def count(self, key: str) -> int:
        """Read a whole number that is not negative."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.error(key, f"is {_kind(value)}, a whole number from 0 on is needed")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of non-empty texts."""
        items = self._list(key)
        if not all(isinstance(item, str) and item.strip() for item in items):
            raise self.error(key, "holds something else than non-empty texts")
        return tuple(str(item) for item in items)

    def numbers(self, key: str, *, length: int) -> tuple[float, ...]:
        """Read a list of finite numbers of a known length."""
        return tuple(self._number(key, item) for item in self._list(key, length))

    def numbers_or_nones(self, key: str, *, length: int) -> tuple[float | None, ...]:
        """Read a list of finite numbers and nulls of a known length."""
        items = self._list(key, length)
        return tuple(None if item is None else self._number(key, item) for item in items)

    def counts(self, key: str, *, length: int | None = None) -> tuple[int, ...]:
        """Read a list of whole numbers that are not negative."""
        items = self._list(key, length)
        if not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in items):
            raise self.error(key, "holds something else than whole numbers from 0 on")
        return tuple(item for item in items if isinstance(item, int))

    def pairs(self, key: str, *, length: int) -> tuple[tuple[float, float], ...]:
        """Read a list of known length of pairs of finite numbers."""
        pairs = []
        for item in self._list(key, length):
            if not isinstance(item, list) or len(item) != 2:
                raise self.error(key, "holds something else than pairs of numbers")
            pairs.append((self._number(key, item[0]), self._number(key, item[1])))
        return tuple(pairs)

    def inner(self, key: str) -> "JsonObject":
        """Read an object."""
        return JsonObject(self._get(key), refuse=self._refuse, place=self._name(key))

    def inner_or_none(self, key: str) -> "JsonObject | None":
        """Read an object or null."""
        return None if self._get(key) is None else self.inner(key)

    def objects(self, key: str) -> "list[JsonObject]":
        """Read a list of objects."""
        name = self._name(key)
        return [
            JsonObject(item, refuse=self._refuse, place=f"{name}[{position}]")
            for position, item in enumerate(self._list(key))
        ]

    def boolean_or_none(self, key: str) -> bool | None:
        """Read a boolean or null."""
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, f"is {_kind(value)}, a boolean is needed")
        return value

    def plain(self) -> dict[str, object]:
        """Return the object as the parser made it."""
        return dict(self._values)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._values

    def is_null(self, key: str) -> bool:
        """Whether the key is there and null."""
        return self._get(key) is None

    def text_by_key(self) -> dict[str, str]:
        """Read the object itself as texts by key."""
        return {key: self.text(key) for key in self._values}

    def error(self, key: str, message: str) -> Exception:
        """Make the error for a value that has the right type but cannot be meant."""
        return self._refuse(f"{self._name(key)} {message}")

    def _get(self, key: str) -> object:
        if key not in self._values:
            raise self._refuse(f"{self._name(key)} is missing")
        value: object = self._values[key]
        return value

    def _list(self, key: str, length: int | None = None) -> list[object]:
        value = self._get(key)
        if not isinstance(value, list):
            raise self.error(key, f"is {_kind(value)}, a list is needed")
        if length is not None and len(value) != length:
            raise self.error(key, f"has {len(value)} entries, {length} are needed")
        return value

    def _number(self, key: str, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.error(key, f"holds {_kind(value)}, a number is needed")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error(key, "holds a number that is too large")
        return number

    def _name(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is there twice")
    return values


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _kind(value: object) -> str:
    """Name a value's JSON type; never show the value, it may be long or private."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    return names[type(value)]
