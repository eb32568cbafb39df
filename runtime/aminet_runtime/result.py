# SPDX-License-Identifier: Apache-2.0
"""The result of one patient as values and as JSON; docs/result.md has the keys.

Numbers are written as they are: `probability >= threshold` gives `affected` for whoever reads the
JSON, too. Two runs of the same scan differ in `created`, `timings_ms` and `peak_rss_mib` only.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.decision import RegionFinding
from aminet_runtime.errors import AminetError, printable
from aminet_runtime.input_contract import ORIENTATION
from aminet_runtime.stopwatch import Timings

SCHEMA = "aminet.result/1"
ERROR_SCHEMA = "aminet.error/1"
_SHORT_ID_DIGITS = 12


class WarningCode(StrEnum):
    """What a reader of a result should know; the first two digits are those of a related error."""

    UNUSUAL_SPACING = "W1201"
    REGION_NAMES_DIFFER = "W1301"
    OUT_OF_VIEW = "W1401"
    NOT_INDEPENDENT = "W2001"
    ARITHMETIC_NOT_CAPPED = "W2201"
    FLOAT_TWIN = "W2202"


@dataclass(frozen=True, slots=True)
class ResultWarning:
    """One remark on a result."""

    code: WarningCode
    message: str


@dataclass(frozen=True, slots=True)
class ModelReference:
    """Which bundle answered.

    Attributes:
        id: Hash of the network.
        approach: How the probabilities are made.
        precision: Number format of the network.
        bundle: The bundle's name.
        engine: Name and version of the engine that ran it.
    """

    id: str
    approach: str
    precision: str
    bundle: str
    engine: str

    @property
    def short_id(self) -> str:
        """As many digits of the hash as a person may compare by eye."""
        return self.id[:_SHORT_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class InputSummary:
    """What was read.

    Attributes:
        files: sha256 (hex) by file name.
        shape: Voxels along (x, y, z), canonical.
        spacing_mm: Along (x, y, z), canonical.
    """

    files: Mapping[str, str]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class PatientResult:
    """What was found in one patient.

    Attributes:
        patient: The folder's name, printable.
        created: UTC time, ISO 8601 with Z.
        model: Which bundle answered.
        regions: One finding for each of the 15 regions, by index.
        min_consecutive_slices: Slices in a row that the decision asks for.
        scores: float32 [Z, 15], the probability of each slice and region, lowest slice first.
        input: What was read.
        timings_ms: Wall time by phase.
        peak_rss_mib: Most memory that the process held; None where the system does not tell.
        threads: Threads of one inference.
        warnings: Remarks on this result.
        disclaimer: What it is not.
    """

    patient: str
    created: str
    model: ModelReference
    regions: tuple[RegionFinding, ...]
    min_consecutive_slices: int
    scores: NDArray[np.float32]
    input: InputSummary
    timings_ms: Timings
    peak_rss_mib: float | None
    threads: int
    warnings: tuple[ResultWarning, ...]
    disclaimer: str

    @property
    def affected(self) -> tuple[RegionFinding, ...]:
        """The regions that are flagged."""
        return tuple(finding for finding in self.regions if finding.affected)

    @property
    def warning_count(self) -> int:
        """How many remarks there are."""
        return len(self.warnings)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values, without the probabilities of single slices."""
        return {
            "schema": SCHEMA,
            "patient": self.patient,
            "status": "ok",
            "created": self.created,
            "model": asdict(self.model),
            "regions": [_finding_to_json(finding) for finding in self.regions],
            "min_consecutive_slices": self.min_consecutive_slices,
            "input": _input_to_json(self.input),
            "timings_ms": {key: round(ms, 1) for key, ms in asdict(self.timings_ms).items()},
            "peak_rss_mib": self.peak_rss_mib,
            "threads": self.threads,
            "warnings": [_warning_to_json(warning) for warning in self.warnings],
            "disclaimer": self.disclaimer,
        }

    def to_json_with_slices(self) -> dict[str, object]:
        """Return plain JSON values with the probability of each slice and region."""
        probabilities = self.scores.astype(np.float64).tolist()
        slices = {"count": len(self.scores), "probabilities": probabilities}
        return {**self.to_json(), "slices": slices}


def utc_now() -> str:
    """Return the time as results write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def error_to_json(error: AminetError, *, patient: str | None) -> dict[str, object]:
    """Return an error as plain JSON values.

    Args:
        error: What ended the run.
        patient: The patient's name, printable; None where no single patient is at fault.
    """
    return {
        "schema": ERROR_SCHEMA,
        "patient": patient,
        "status": "error",
        "code": error.code,
        "exit_code": error.exit_code,
        "message": printable(error.located_message),
        "hint": None if error.hint is None else printable(error.hint),
    }


def to_json_line(values: Mapping[str, object]) -> str:
    """Return JSON on one line, in ASCII, so that any console and any pipe can take it."""
    return json.dumps(values, separators=(", ", ": "), allow_nan=False)


def to_json_file(values: Mapping[str, object]) -> bytes:
    """Return the content of a JSON file: indented, ending in a line break."""
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode("ascii")


def _finding_to_json(finding: RegionFinding) -> dict[str, object]:
    return {**asdict(finding), "slices": list(finding.slices)}


def _input_to_json(summary: InputSummary) -> dict[str, object]:
    return {
        "files": dict(summary.files),
        "shape": list(summary.shape),
        "spacing_mm": [round(spacing, 6) for spacing in summary.spacing_mm],
        "orientation": ORIENTATION,
    }


def _warning_to_json(warning: ResultWarning) -> dict[str, object]:
    return {"code": warning.code.value, "message": warning.message}
