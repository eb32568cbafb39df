# SPDX-License-Identifier: Apache-2.0
"""The gate on trial: a good build must pass, and each bad one must fail for its own reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aminet_benchmarks.gate.checks import Check, Reason, Verdict, judge
from aminet_benchmarks.gate.faults import Fault, bad_build
from aminet_benchmarks.gate.limits import Answers, Hard, Limits
from aminet_benchmarks.gate.measurements import Bench, measure
from aminet_benchmarks.ways import Task
from aminet_runtime.errors import GateFailed

CASE_TRIAL = 12
GOOD = "as it is"

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """What the gate said about a build.

    Attributes:
        build: What is wrong with it.
        expected: What the gate must stop it for; None for a good build.
        checks: All checks.
    """

    build: str
    expected: Reason | None
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What the gate stopped it for."""
        failed = {check.reason for check in self.checks if check.verdict is Verdict.FAILED}
        return tuple(reason for reason in Reason if reason in failed)

    @property
    def is_right(self) -> bool:
        """Whether it was stopped for its own reason; a good build must pass each check.

        No other reason may be among them, but time where memory is wasted: the kernel hands out
        fresh pages, and that is slow.
        """
        if self.expected is None:
            return all(check.verdict is Verdict.PASSED for check in self.checks)
        others = set(self.reasons) - {self.expected}
        allowed = {Reason.TIME} if self.expected is Reason.MEMORY else set()
        return self.expected in self.reasons and others <= allowed

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "build": self.build,
            "expected": self.expected,
            "stopped_for": list(self.reasons),
            "is_right": self.is_right,
            "checks": [check.to_json() for check in self.checks],
        }


def try_builds(
    bench: Bench, *, good: int = 1, on_progress: OnProgress = lambda _done, _total: None
) -> list[Trial]:
    """Gate a good build some times, and each bad one once.

    The source report's way, the instruction sets and F1 are left out: no fault here moves them,
    and they take longest.

    Args:
        bench: Patient, good bundle, processors and limits.
        good: How often the good build is gated.
        on_progress: Called with builds done and builds in all.
    """
    limits = _quick(bench.limits)
    total, trials = good + len(Fault), list[Trial]()
    for _time in range(good):
        checks = judge(measure(replace(bench, limits=limits)), limits)
        trials.append(Trial(GOOD, None, tuple(checks)))
        on_progress(len(trials), total)
    for fault in Fault:
        with bad_build(fault, bench.task.bundle.path) as bad:
            task = Task.of(bench.task.patient, bad.bundle)
            checks = judge(measure(replace(bench, task=task, limits=limits)), limits)
            trials.append(Trial(fault.value, bad.reason, tuple(checks)))
        on_progress(len(trials), total)
    return trials


def trial_table(trials: Sequence[Trial]) -> str:
    """Return a Markdown table, a row a build."""
    lines = ["| build | stopped for | by | right |", "|---|---|---|---|"]
    for trial in trials:
        not_passed = [c for c in trial.checks if c.verdict is not Verdict.PASSED]
        by = ", ".join(f"{c.name} {_found(c)} ({c.verdict})" for c in not_passed)
        reasons = ", ".join(trial.reasons) or "nothing"
        lines.append(f"| {trial.build} | {reasons} | {by} | {'yes' if trial.is_right else 'NO'} |")
    return "\n".join(lines)


def require_told_apart(trials: Sequence[Trial]) -> None:
    """Refuse a gate that judged a build wrongly.

    Raises:
        GateFailed: It did; the message names the builds.
    """
    wrong = [trial.build for trial in trials if not trial.is_right]
    if wrong:
        raise GateFailed(
            f"the gate judged wrongly: {', '.join(wrong)}",
            case=CASE_TRIAL,
            hint="see the table; repeat on an idle machine",
        )


def _quick(limits: Limits) -> Limits:
    return Limits(
        hard=Hard(),
        time=replace(limits.time, wall_to_report=None),
        memory=replace(limits.memory, rss_to_report=None),
        answers=Answers(selftest_difference=limits.answers.selftest_difference),
        sampling=limits.sampling,
    )


def _found(check: Check) -> str:
    if check.found is None:
        return ""
    return f"{check.found.value:.3g}, {check.found.interval}"
