# SPDX-License-Identifier: Apache-2.0
"""A bundle's track record: how it was measured, and on whose scans; a part of its metadata."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

from aminet_runtime.strict_json import JsonObject

SHA256 = re.compile(r"[0-9a-f]{64}")
SPLITS = ("training", "validation", "test", "calibration")


@dataclass(frozen=True, slots=True)
class LevelMetrics:
    """Counts and shares over the (slice, region) or over the (patient, region) pairs of a split."""

    tp: int
    fp: int
    fn: int
    tn: int
    precision: float
    recall: float
    f1: float
    accuracy: float
    f1_ci95: tuple[float, float]

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read one level."""
        low, high = values.numbers("f1_ci95", length=2)
        if not 0.0 <= low <= high <= 1.0:
            raise values.error("f1_ci95", "is not an interval within 0..1")
        return cls(
            tp=values.count("tp"),
            fp=values.count("fp"),
            fn=values.count("fn"),
            tn=values.count("tn"),
            precision=_share(values, "precision"),
            recall=_share(values, "recall"),
            f1=_share(values, "f1"),
            accuracy=_share(values, "accuracy"),
            f1_ci95=(low, high),
        )

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {**asdict(self), "f1_ci95": list(self.f1_ci95)}


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """Both levels of one engine on the test split."""

    slice_level: LevelMetrics
    patient_level: LevelMetrics

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read both levels."""
        return cls(
            slice_level=LevelMetrics.from_json(values.inner("slice")),
            patient_level=LevelMetrics.from_json(values.inner("patient")),
        )

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {"slice": self.slice_level.to_json(), "patient": self.patient_level.to_json()}


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was measured with the float and with the INT8 network; None if it was not."""

    float32: EngineMetrics | None
    int8: EngineMetrics | None

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read both engines."""
        return cls(float32=_engine(values, "float"), int8=_engine(values, "int8"))

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "float": None if self.float32 is None else self.float32.to_json(),
            "int8": None if self.int8 is None else self.int8.to_json(),
        }


@dataclass(frozen=True, slots=True)
class PatientSet:
    """The patients of one split, told by their scans and not by their names.

    Attributes:
        fingerprints: What `scan_fingerprint` returns for each patient, sorted.
    """

    fingerprints: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of patients."""
        return len(self.fingerprints)

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read the patients of one split."""
        fingerprints = values.texts("fingerprints")
        if not all(SHA256.fullmatch(fingerprint) for fingerprint in fingerprints):
            raise values.error("fingerprints", "holds something else than sha256 sums")
        if values.count("count") != len(fingerprints):
            raise values.error("count", f"differs from the {len(fingerprints)} fingerprints")
        return cls(fingerprints)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {"count": self.count, "fingerprints": list(self.fingerprints)}


@dataclass(frozen=True, slots=True)
class DataSummary:
    """Whose scans made the bundle, and whose measured it."""

    training: PatientSet
    validation: PatientSet
    test: PatientSet
    calibration: PatientSet

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read the four splits."""
        return cls(**{split: PatientSet.from_json(values.inner(split)) for split in SPLITS})

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {split: getattr(self, split).to_json() for split in SPLITS}

    def split_that_shaped(self, fingerprint: str) -> str | None:
        """Name the split with this scan if its answer is not independent; None if it is.

        Test patients measured the bundle but did not shape it.
        """
        for split in ("training", "validation", "calibration"):
            if fingerprint in getattr(self, split).fingerprints:
                return split
        return None


def scan_fingerprint(file_hashes: Sequence[str]) -> str:
    """Return one sha256 (hex) for a scan, whatever its patient is called.

    Args:
        file_hashes: sha256 (hex) of the channels' files, in the order of the bundle's channels.
    """
    return hashlib.sha256("".join(file_hashes).encode()).hexdigest()


def _share(values: JsonObject, key: str) -> float:
    share = values.number(key)
    if not 0.0 <= share <= 1.0:
        raise values.error(key, "is not within 0..1")
    return share


def _engine(values: JsonObject, key: str) -> EngineMetrics | None:
    engine = values.inner_or_none(key)
    return None if engine is None else EngineMetrics.from_json(engine)
