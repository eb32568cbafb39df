# SPDX-License-Identifier: Apache-2.0
"""What is allowed, from a TOML file; docs/benchmarks.md explains each limit."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from aminet_runtime.errors import UsageError

DEFAULT_LIMITS = Path(__file__).with_name("limits.toml")
SMOKE_LIMITS = Path(__file__).with_name("limits_smoke.toml")

_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True)
class Hard:
    """Of one patient, whatever the machine."""

    wall_s: float | None = None
    peak_rss_mib: float | None = None


@dataclass(frozen=True, slots=True)
class Time:
    """Ratios of wall time, and one of processor time."""

    wall_to_script: float | None = None
    slice_to_script: float | None = None
    cpu_to_script: float | None = None
    wall_to_report: float | None = None
    stream_to_floor: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Ratios of peak memory; `growth` in bytes for each byte of slices."""

    rss_to_script: float | None = None
    rss_to_report: float | None = None
    growth: float | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Differences in probability, and the loss of F1 from float to INT8."""

    selftest_difference: float | None = None
    isa_difference: float | None = None
    f1_drop: float | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How often to measure: rounds at least and at most, and the interval that is wanted."""

    rounds: int = 5
    most_rounds: int = 15
    interval: float = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """All of a limits file; None is not checked."""

    hard: Hard = Hard()
    time: Time = Time()
    memory: Memory = Memory()
    answers: Answers = Answers()
    sampling: Sampling = Sampling()


_SECTIONS: Mapping[str, type[Any]] = {
    "hard": Hard,
    "time": Time,
    "memory": Memory,
    "answers": Answers,
    "sampling": Sampling,
}


def read_limits(path: Path) -> Limits:
    """Read a limits file.

    Raises:
        UsageError: It is not there, no TOML, or holds a key that is unknown or no number.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise UsageError(f"the limits cannot be read ({cause})", path=path) from cause
    _require_known(values, _SECTIONS, path)
    sections = {name: _section(_SECTIONS[name], section, path) for name, section in values.items()}
    return Limits(**sections)


def _section(kind: type[_Section], values: Any, path: Path) -> _Section:
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict):
        raise UsageError(f"{values!r} is no section of limits", path=path)
    _require_known(values, known, path)
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise UsageError(f"{key} = {value!r} is no limit", path=path, hint="give a number")
    return kind(**values)


def _require_known(values: Mapping[str, Any], known: Mapping[str, Any], path: Path) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise UsageError(f"{key} is no limit", path=path, hint=hint)
