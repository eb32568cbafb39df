# SPDX-License-Identifier: Apache-2.0
"""What a doctor says: checks, a verdict, an exit code; as values, text and JSON."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from aminet_runtime.text_table import align

SCHEMA = "aminet.doctor/1"


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        status: How it ended.
        detail: What was seen.
        exit_code: Of the error that the check failed with; 0 otherwise.
    """

    name: str
    status: CheckStatus
    detail: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks of a machine.

    Attributes:
        checks: In the order in which they were made.
        seconds_per_patient: Estimate for 257 slices of 512 x 512; None if nothing could run.
    """

    checks: tuple[Check, ...]
    seconds_per_patient: float | None

    @property
    def exit_code(self) -> int:
        """The highest exit code of a failed check; 0 if the machine is fit."""
        return max(check.exit_code for check in self.checks)

    @property
    def verdict(self) -> str:
        """One line that says whether the machine is fit, and if not why."""
        failed = [check for check in self.checks if check.status is CheckStatus.FAILED]
        if failed:
            return f"not fit: {failed[0].name}: {failed[0].detail}"
        return f"fit: about {self.seconds_per_patient:.1f} s a patient"

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "schema": SCHEMA,
            "status": "error" if self.exit_code else "ok",
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "seconds_per_patient": self.seconds_per_patient,
            "checks": [asdict(check) for check in self.checks],
        }

    def to_text(self) -> str:
        """Return lines for a terminal, the verdict last."""
        rows = [(check.name, check.status.value, check.detail) for check in self.checks]
        return "\n".join((*align(rows), "", self.verdict, ""))
