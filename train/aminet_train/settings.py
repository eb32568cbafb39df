# SPDX-License-Identifier: Apache-2.0
"""Settings between TOML and frozen dataclasses: merged, checked, and written back.

A dataclass is a table, each field a key; an unknown key is an error that names the nearest known
one. Keys are named with dots, as in `schedule.learning_rate`.
"""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from aminet_runtime.errors import InputMissing, UsageError

Built = TypeVar("Built")


def read_toml(path: Path, *, option: str = "--config") -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: The file.
        option: What named it, for the message.

    Raises:
        InputMissing: There is none.
        UsageError: It is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise InputMissing("cannot be read", path=path, hint=f"check {option}") from cause
    except ValueError as cause:
        raise UsageError(f"not TOML: {cause}", path=path, hint="see --help") from cause


def write_toml(tables: Mapping[str, Any]) -> str:
    """Write settings as TOML: plain values first, then each table; None is left out."""
    plain = {key: value for key, value in tables.items() if not isinstance(value, Mapping)}
    lines = [f"{key} = {_toml_value(value)}" for key, value in plain.items() if value is not None]
    for name, table in tables.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]"]
            lines += [f"{k} = {_toml_value(v)}" for k, v in table.items() if v is not None]
    return "\n".join(lines) + "\n"


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay tables over each other; later ones win, key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            both_are_tables = isinstance(value, Mapping) and isinstance(below, Mapping)
            merged[key] = merge(below, value) if both_are_tables else value  # type: ignore[arg-type]
    return merged


def dotted(tables: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Name each value of nested tables by its dotted key: {"a": {"b": 1}} to {"a.b": 1}.

    Args:
        tables: Values, and tables of values.
        above: What all names begin with.
    """
    named: dict[str, Any] = {}
    for key, value in tables.items():
        is_table = isinstance(value, Mapping)
        named |= dotted(value, f"{above}{key}.") if is_table else {above + key: value}
    return named


def to_tables(config: Any) -> dict[str, Any]:
    """Turn a dataclass into tables of plain values."""
    return {field.name: _plain(getattr(config, field.name)) for field in fields(config)}


def from_tables(kind: type[Built], tables: Mapping[str, Any], *, where: str = "") -> Built:
    """Build a dataclass from tables.

    Args:
        kind: The dataclass; keys that are not given keep its defaults.
        tables: Its keys and values; a value that has been built already is taken as it is.
        where: Names of the tables above, with a dot at the end, for messages.

    Raises:
        UsageError: A key is unknown, missing, or its value is of another kind.
    """
    hints = get_type_hints(kind)
    for key in tables:
        if key not in hints:
            raise UsageError(
                f"unknown setting {where + key!r}",
                hint=f"the nearest known one is {_nearest(key, kind, where)!r}",
            )
    values = {key: _converted(hints[key], value, where + key) for key, value in tables.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as cause:
        raise UsageError(f"{where.rstrip('.') or 'settings'}: {cause}") from cause


def _nearest(key: str, kind: type, where: str) -> str:
    """Find the setting whose name, with or without its table, is most like the key."""
    known = {name: where + name for name in _names_below(kind)}
    known |= {name.rpartition(".")[2]: full for name, full in known.items()}
    return known[difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]]


def _names_below(kind: type) -> list[str]:
    names: list[str] = []
    for name, hint in get_type_hints(kind).items():
        names.append(name)
        if is_dataclass(hint) and isinstance(hint, type):
            names += [f"{name}.{inner}" for inner in _names_below(hint)]
    return names


def _converted(hint: Any, value: Any, name: str) -> Any:
    """Convert a TOML value to the type of a field."""
    if is_dataclass(hint) and isinstance(hint, type):
        return _table(hint, value, name)
    if get_origin(hint) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_converted(get_args(hint)[0], item, name) for item in items)
    if get_origin(hint) in {UnionType, Union}:
        return _member(hint, value, name)
    return _scalar(hint, value, name)


def _table(kind: type, value: Any, name: str) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} is a table, not {value!r}")
    return from_tables(kind, value, where=f"{name}.")


def _member(hint: Any, value: Any, name: str) -> Any:
    """Convert to `X | None`, or pass what is an instance of one of several dataclasses."""
    members = get_args(hint)
    if value is None and NoneType in members:
        return None
    if isinstance(value, tuple(members)):
        return value
    return _converted(next(member for member in members if member is not NoneType), value, name)


def _scalar(kind: type, value: Any, name: str) -> Any:
    if issubclass(kind, StrEnum):
        return _choice(kind, value, name)
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UsageError(f"{name} must be {_NAMES.get(kind, kind.__name__)}, not {value!r}")
    return value


def _choice(kind: type[StrEnum], value: Any, name: str) -> StrEnum:
    try:
        return kind(value)
    except ValueError as cause:
        choices = ", ".join(kind)
        raise UsageError(f"{name} is {value!r}, which is none of: {choices}") from cause


_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_tables(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _toml_value(value: Any) -> str:
    """Write a number, text, truth value or list; JSON spells them as TOML does, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
