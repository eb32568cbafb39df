# SPDX-License-Identifier: Apache-2.0
"""Measurements against limits. What cannot be told from the limit does not pass."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from aminet_benchmarks.gate.limits import Answers, Hard, Limits, Memory, Time
from aminet_benchmarks.gate.sampling import Estimate
from aminet_runtime.errors import GateFailed
from aminet_train.levels import Level

CASE_LIMITS = 10
CASE_UNDECIDED = 11
F1_DROP = "f1_drop"
PEAK_RSS = "peak_rss_mib"


class Verdict(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    UNDECIDED = "NOT NARROW ENOUGH"
    """The interval holds the limit: the machine is too noisy, or the value too near."""
    MISSING = "NOT MEASURED"


class Reason(StrEnum):
    """What a check is about."""

    TIME = "time"
    MEMORY = "memory"
    ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class Check:
    """One limit and what was measured.

    Attributes:
        name: Of the limit.
        limit: Its value.
        reason: What a build would be stopped for.
        found: None where it could not be measured.
    """

    name: str
    limit: float
    reason: Reason
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
        return {
            "name": self.name,
            "reason": self.reason,
            "limit": self.limit,
            "found": found,
            "verdict": self.verdict,
        }


def judge(figures: Mapping[str, Estimate], limits: Limits) -> list[Check]:
    """Hold each limit against its figure; F1 has one for each level."""
    checks = []
    for section in (limits.hard, limits.time, limits.memory, limits.answers):
        for name, limit in asdict(section).items():
            names = [f"{name}, {level}s" for level in Level] if name == F1_DROP else [name]
            if limit is not None:
                checks += [Check(n, limit, _reason(section, n), figures.get(n)) for n in names]
    return checks


def gate_table(checks: Sequence[Check]) -> str:
    """Return a Markdown table, a row a check."""
    lines = [
        "| about | check | found | 95 % interval | limit | verdict | |",
        "|---|---|---|---|---|---|---|",
    ]
    for check in checks:
        found = check.found
        value = "" if found is None else f"{found.value:.3g}"
        interval = "" if found is None or found.low == found.high else found.interval
        lines.append(
            f"| {check.reason} | {check.name} | {value} | {interval} | {check.limit:g} "
            f"| {check.verdict} | {check.excess} |"
        )
    return "\n".join(lines)


def require_passed(checks: Sequence[Check]) -> None:
    """Refuse a build of which a check did not pass.

    Raises:
        GateFailed: One did not; the message names each.
    """
    stopping = [check for check in checks if check.verdict is not Verdict.PASSED]
    if stopping:
        only_noise = all(check.verdict is Verdict.UNDECIDED for check in stopping)
        raise GateFailed(
            "; ".join(_said(check) for check in stopping),
            case=CASE_UNDECIDED if only_noise else CASE_LIMITS,
            hint="repeat on an idle machine" if only_noise else "see the table",
        )


def _reason(section: Hard | Time | Memory | Answers, name: str) -> Reason:
    if isinstance(section, Answers):
        return Reason.ANSWERS
    return Reason.MEMORY if isinstance(section, Memory) or name == PEAK_RSS else Reason.TIME


def _said(check: Check) -> str:
    return f"{check.reason}: {check.name}: {check.verdict} {check.excess}".strip()
