# SPDX-License-Identifier: Apache-2.0
"""Measurements against limits. What cannot be told from the limit does not pass."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from aminet_benchmarks.gate.limits import Limits
from aminet_benchmarks.gate.sampling import Estimate
from aminet_runtime.errors import GateFailed

CASE_LIMITS = 10
F1_DROP = "f1_drop"


class Verdict(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    UNDECIDED = "UNDECIDED"
    """The interval holds the limit: the machine is too noisy, or the value too near."""
    MISSING = "NOT MEASURED"


@dataclass(frozen=True, slots=True)
class Check:
    """One limit and what was measured.

    Attributes:
        name: Of the limit.
        limit: Its value.
        found: None where it could not be measured.
    """

    name: str
    limit: float
    found: Estimate | None

    @property
    def verdict(self) -> Verdict:
        """Whether the whole interval is within the limit."""
        if self.found is None:
            return Verdict.MISSING
        if self.found.high <= self.limit:
            return Verdict.PASSED
        return Verdict.FAILED if self.found.low > self.limit else Verdict.UNDECIDED

    @property
    def excess(self) -> str:
        """By how much the limit is exceeded, in words; empty if it is not."""
        if self.found is None or self.found.value <= self.limit:
            return ""
        over = self.found.value - self.limit
        return f"{over:.3g} over" + (f" ({over / self.limit:.0%})" if self.limit else "")

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        found = None if self.found is None else asdict(self.found)
        return {"name": self.name, "limit": self.limit, "found": found, "verdict": self.verdict}


def judge(figures: Mapping[str, Estimate], limits: Limits) -> list[Check]:
    """Hold each limit against its figure; F1 has one for each level."""
    checks = []
    for section in (limits.hard, limits.time, limits.memory, limits.answers):
        for name, limit in asdict(section).items():
            if limit is None:
                continue
            if name == F1_DROP:
                checks += [
                    Check(f"{name}, {level}s", limit, figures.get(f"{name}, {level}s"))
                    for level in ("slice", "patient")
                ]
            else:
                checks.append(Check(name, limit, figures.get(name)))
    return checks


def gate_table(checks: Sequence[Check]) -> str:
    """Return a Markdown table, a row a check."""
    lines = ["| check | found | 95 % interval | limit | verdict | |", "|---|---|---|---|---|---|"]
    for check in checks:
        found = check.found
        value = "" if found is None else f"{found.value:.3g}"
        interval = "" if found is None or found.low == found.high else _interval(found)
        lines.append(
            f"| {check.name} | {value} | {interval} | {check.limit:g} | {check.verdict} "
            f"| {check.excess} |"
        )
    return "\n".join(lines)


def require_passed(checks: Sequence[Check]) -> None:
    """Refuse a build of which a check did not pass.

    Raises:
        GateFailed: One did not; the message names each.
    """
    failing = [check for check in checks if check.verdict is not Verdict.PASSED]
    if failing:
        undecided = any(check.verdict is Verdict.UNDECIDED for check in failing)
        raise GateFailed(
            "; ".join(f"{one.name}: {one.verdict} {one.excess}".strip() for one in failing),
            case=CASE_LIMITS,
            hint="repeat what is undecided on an idle machine" if undecided else "see the table",
        )


def _interval(found: Estimate) -> str:
    return f"{found.low:.3g} to {found.high:.3g}"
