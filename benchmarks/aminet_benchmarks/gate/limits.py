# SPDX-License-Identifier: Apache-2.0
"""What is allowed, from a TOML file; docs/benchmarks.md explains each limit."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from aminet_runtime.errors import UsageError
from aminet_train.settings import from_tables, read_toml

DEFAULT_LIMITS = Path(__file__).with_name("limits.toml")
SMOKE_LIMITS = Path(__file__).with_name("limits_smoke.toml")


@dataclass(frozen=True, slots=True)
class Hard:
    """Of one patient, whatever the machine."""

    wall_s: float | None = None
    peak_rss_mib: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        _require_limits(self)


@dataclass(frozen=True, slots=True)
class Time:
    """Ratios of wall time, and one of processor time."""

    wall_to_script: float | None = None
    slice_to_script: float | None = None
    cpu_to_script: float | None = None
    wall_to_report: float | None = None
    stream_to_floor: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        _require_limits(self)


@dataclass(frozen=True, slots=True)
class Memory:
    """Ratios of peak memory; `growth` in bytes for each byte of slices."""

    rss_to_script: float | None = None
    rss_to_report: float | None = None
    growth: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        _require_limits(self)


@dataclass(frozen=True, slots=True)
class Answers:
    """Differences in probability, and the loss of F1 from float to INT8."""

    selftest_difference: float | None = None
    isa_difference: float | None = None
    f1_drop: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        _require_limits(self)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How often to measure: rounds at least and at most, and the interval that is wanted."""

    rounds: int = 5
    most_rounds: int = 15
    interval: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what would measure nothing."""
        if not 1 <= self.rounds <= self.most_rounds:
            raise ValueError(f"rounds = {self.rounds}, but most_rounds = {self.most_rounds}")
        if not self.interval > 0:
            raise ValueError(f"interval = {self.interval:g} can never be reached")


@dataclass(frozen=True, slots=True)
class Limits:
    """All of a limits file; None is not checked."""

    hard: Hard = field(default_factory=Hard)
    time: Time = field(default_factory=Time)
    memory: Memory = field(default_factory=Memory)
    answers: Answers = field(default_factory=Answers)
    sampling: Sampling = field(default_factory=Sampling)


def read_limits(path: Path) -> Limits:
    """Read a limits file.

    Raises:
        InputMissing: It is not there.
        UsageError: It is no TOML, or holds a key that is unknown, or a value that is no limit.
    """
    tables = read_toml(path, option="--limits")
    try:
        return from_tables(Limits, tables)
    except UsageError as cause:
        raise UsageError(cause.message, path=path, hint=cause.hint) from cause


def _require_limits(section: Hard | Time | Memory | Answers) -> None:
    for name, value in asdict(section).items():
        if value is not None and not value >= 0:  # not a number is no limit, either
            raise ValueError(f"{name} = {value:g} is no limit; give a number from 0")
