# SPDX-License-Identifier: Apache-2.0
"""What a prepared cohort holds: who was used and who was not, and what training can expect.

The report is plain JSON values, `report.json`; `cohort_page` draws it. It holds no date, so that
the same cohort gives the same bytes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import AminetError, printable
from aminet_runtime.regions import REGION_COUNT
from aminet_train.cohort.folder_facts import FirstPhase
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split, Splits, read_splits

SCHEMA = "aminet.cohort-report/1"
LEAKING_NOTE = "leaking: slices of one patient on both sides"
CROWDED_SHARE = 0.5
CROWDED_PATIENTS = 10
"""A region that more than half of so many patients are affected in hints at a wrong atlas."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A patient that could not be prepared, and why.

    Attributes:
        patient_id: Name of the folder.
        code: Of the error, such as `E1102`.
        file: Name of the file, or of the folder, at fault.
        message: What is wrong with it.
        hint: What to do; may be empty.
    """

    patient_id: str
    code: str
    file: str
    message: str
    hint: str

    @classmethod
    def of(cls, folder: Path, error: AminetError) -> "Refusal":
        """Take an error apart."""
        file = error.path.name if error.path is not None else folder.name
        return cls(
            patient_id=folder.name,
            code=error.code,
            file=printable(file),
            message=printable(error.message),
            hint=printable(error.hint or ""),
        )

    def __str__(self) -> str:
        """Return one line: `error[E1102]: file: message; hint`."""
        hint = f"; {self.hint}" if self.hint else ""
        return f"error[{self.code}]: {self.file}: {self.message}{hint}"


def cohort_report(root: Path, refusals: Sequence[Refusal], *, present: Sequence[str]) -> Values:
    """Describe a prepared cohort.

    Args:
        root: Its folder, with splits.
        refusals: Who was refused in this run.
        present: Names of all patient folders of the cohort.

    Returns:
        Plain JSON values.
    """
    cohort, splits = PreparedCohort.open(root), read_splits(root)
    patients = [cohort.patient(name) for name in cohort.patient_ids()]
    names = [patient.patient_id for patient in patients]
    report: Values = {
        "schema": SCHEMA,
        "leaking": splits.leaking,
        "note": LEAKING_NOTE if splits.leaking else None,
        "patients": {
            "used": len(patients),
            "refused": len(refusals),
            "no_longer_in_the_cohort": sorted(set(names) - set(present)),
        },
        "preprocessing": cohort.preprocessing.to_json(),
        "slices": _slices(patients),
        "regions": _regions(patients, cohort.regions.names),
        "splits": {
            "by": splits.by.value,
            "seed": splits.seed,
            "note": LEAKING_NOTE if splits.leaking else None,
            **{split.value: _split(patients, splits, split) for split in Split},
        },
        "scans": _scans(patients),
        "spiral": _spiral(patients),
        "first_phase": _first_phases(patients),
        "duplicates": _duplicates(patients),
        "used": [_patient(patient, splits) for patient in patients],
        "refused": [asdict(refusal) for refusal in sorted(refusals, key=lambda r: r.patient_id)],
    }
    return {**report, "remarks": _remarks(report)}


def report_bytes(report: Values) -> bytes:
    """Return the content of a report.json."""
    return (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode()


def _slices(patients: Sequence[PreparedPatient]) -> Values:
    return {
        "count": sum(patient.slice_count for patient in patients),
        "stored": sum(len(patient.kept) for patient in patients),
        "with_clot": sum(int(p.truth.labels.any(axis=1).sum()) for p in patients),
        "positive_pairs": sum(int(patient.truth.labels.sum()) for patient in patients),
    }


def _regions(patients: Sequence[PreparedPatient], names: Sequence[str]) -> list[Values]:
    affected = _total(patient.truth.affected for patient in patients)
    slices = _total(patient.truth.labels.sum(axis=0) for patient in patients)
    return [
        {
            "index": index,
            "name": name,
            "patients": int(affected[index]),
            "share": float(affected[index] / len(patients)) if patients else 0.0,
            "slices": int(slices[index]),
        }
        for index, name in enumerate(names)
    ]


def _split(patients: Sequence[PreparedPatient], splits: Splits, split: Split) -> Values:
    labels = {
        patient.patient_id: patient.truth.labels[
            splits.slices_of(patient.patient_id, split, slice_count=patient.slice_count)
        ]
        for patient in patients
        if patient.patient_id in splits[split]
    }
    return {
        "patients": len(labels),
        "slices": sum(map(len, labels.values())),
        "with_clot": sum(int(part.any(axis=1).sum()) for part in labels.values()),
        "patients_by_region": _total(part.sum(axis=0) > 0 for part in labels.values()).tolist(),
    }


def _total(rows: Iterable[NDArray[Any]]) -> NDArray[np.int64]:
    """Add up rows of 15; no rows are 15 times 0."""
    total = np.zeros(REGION_COUNT, np.int64)
    for row in rows:
        total += row.astype(np.int64)
    return total


def _scans(patients: Sequence[PreparedPatient]) -> Values:
    ranges = [
        bounds for patient in patients for bounds in _ranges(patient).values() if bounds is not None
    ]
    return {
        "range_hu": _span([value for bounds in ranges for value in bounds]),
        "spacing_mm": [_span([p.scan.spacing_mm[axis] for p in patients]) for axis in range(3)],
        "shape": [_span([p.scan.shape[axis] for p in patients]) for axis in range(3)],
    }


def _span(values: Sequence[float]) -> Values | None:
    if not values:
        return None
    return {"lowest": min(values), "median": float(np.median(values)), "highest": max(values)}


def _ranges(patient: PreparedPatient) -> Mapping[int, tuple[float, float] | None]:
    facts = patient.scan.facts
    return {} if facts is None else dict(enumerate(facts.range_hu))


def _spiral(patients: Sequence[PreparedPatient]) -> Values:
    maps = [patient.truth.spiral for patient in patients if patient.truth.spiral is not None]
    return {
        "patients": len(maps),
        "share": len(maps) / len(patients) if patients else 0.0,
        "slices_above_zero": sum(int(spiral.any(axis=1).sum()) for spiral in maps),
        "highest": max((float(spiral.max()) for spiral in maps), default=None),
    }


def _first_phases(patients: Sequence[PreparedPatient]) -> Values:
    """List by state of phase 1 who has it so; those on the atlas's grid are only counted."""
    found: dict[FirstPhase, list[str]] = {state: [] for state in FirstPhase}
    for patient in patients:
        if patient.scan.facts is not None:
            found[patient.scan.facts.first_phase].append(patient.patient_id)
    return {
        "usable": len(found.pop(FirstPhase.SAME_GRID)),
        **{state.value: names for state, names in found.items()},
    }


def _duplicates(patients: Sequence[PreparedPatient]) -> list[list[str]]:
    """Group who has the same scan: the same voxels, be it in other files."""
    by_key: dict[str, set[str]] = {}
    for patient in patients:
        facts = patient.scan.facts
        key = patient.fingerprint if facts is None else facts.content
        by_key.setdefault(key, set()).add(patient.patient_id)
    groups = {tuple(sorted(names)) for names in by_key.values() if len(names) > 1}
    return [list(names) for names in sorted(groups)]


def _patient(patient: PreparedPatient, splits: Splits) -> Values:
    facts = patient.scan.facts
    labels = patient.truth.labels
    return {
        "patient": patient.patient_id,
        "splits": [split.value for split in Split if patient.patient_id in splits[split]],
        "group": patient.group,
        "regions": np.flatnonzero(labels.any(axis=0)).tolist(),
        "slices": patient.slice_count,
        "stored": len(patient.kept),
        "with_clot": int(labels.any(axis=1).sum()),
        "spacing_mm": list(patient.scan.spacing_mm),
        "shape": list(patient.scan.shape),
        "orientation": facts and facts.orientation,
        "range_hu": facts and [bounds and list(bounds) for bounds in facts.range_hu],
        "spiral": patient.truth.spiral is not None,
        "first_phase": facts and facts.first_phase.value,
        "fingerprint": patient.fingerprint,
    }


def _remarks(report: Values) -> list[str]:
    """Say in sentences what an engineer should look at before training."""
    remarks = [LEAKING_NOTE] if report["leaking"] else []
    remarks += [
        f"{', '.join(names)} hold the same scan; they are on one side of the split"
        for names in report["duplicates"]
    ]
    missing = [r["name"] for r in report["regions"] if not r["patients"]]
    if missing:
        remarks.append(f"no patient has clot in {', '.join(missing)}")
    remarks += [
        f"{row['share']:.0%} of the patients have clot in {row['name']}: check the atlas"
        for row in report["regions"]
        if row["share"] > CROWDED_SHARE and report["patients"]["used"] >= CROWDED_PATIENTS
    ]
    without = [row["patient"] for row in report["used"] if not row["regions"]]
    if without:
        remarks.append(f"no clot at all: {', '.join(without)}")
    other = report["first_phase"][FirstPhase.OTHER_GRID.value]
    if other:
        remarks.append(f"phase 1 is not on the grid of the atlas: {', '.join(other)}")
    gone = report["patients"]["no_longer_in_the_cohort"]
    if gone:
        remarks.append(f"prepared earlier, no longer in the cohort: {', '.join(gone)}")
    return remarks
