# SPDX-License-Identifier: Apache-2.0
"""metadata.json, and the keys of it that stand in the networks, too."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aminet_export.contents import BundleContents
from aminet_runtime.bundle import MODEL_BIN, MODEL_XML, model_id
from aminet_runtime.decision import DecisionRule
from aminet_runtime.input_contract import InputContract
from aminet_runtime.metadata import Approach, Metadata, Precision
from aminet_runtime.track_record import (
    DataSummary,
    EngineMetrics,
    LevelMetrics,
    Metrics,
    PatientSet,
)
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.provenance import tool_versions

INTENDED_USE = (
    "Points a clinician to brain regions that may hold a clot in multiphase CT angiography."
)
ON_PHANTOMS = (
    "Trained and measured on digital phantoms only: it shows what the toolkit does, and says "
    "nothing about patients."
)
ON_A_COHORT = (
    "Measured on patients of the cohort that it was trained with: what it does elsewhere, nobody "
    "has measured."
)
DISCLAIMER = (
    "Not a medical device. An aid to reading, not a diagnosis: a region that is not flagged may "
    "still hold a clot."
)


def network_keys(contents: BundleContents) -> dict[str, dict[str, str]]:
    """Return by section what hosts without a JSON parser find in the networks themselves."""
    return {"model_info": _model_info(contents), "aminet_info": _aminet_info(contents)}


def metadata_of(folder: Path, contents: BundleContents) -> Metadata:
    """Return what metadata.json says.

    Args:
        folder: With the IR, whose hash is the bundle's id.
        contents: Of the bundle.
    """
    rule, metrics = contents.rule, contents.verdict.metrics
    only_phantoms = contents.source.has_phantoms_only
    return Metadata(
        model_id=model_id((folder / MODEL_XML).read_bytes(), (folder / MODEL_BIN).read_bytes()),
        name=contents.plan.output.name,
        approach=Approach(contents.info.approach.value),
        precision=contents.plan.precision,
        input=_input_contract(contents),
        regions=contents.info.regions,
        decision=DecisionRule(
            thresholds=rule.patient_thresholds,
            min_consecutive_slices=rule.min_consecutive_slices,
        ),
        metrics=Metrics(
            float32=_engine_metrics(metrics.get(Precision.FP16, metrics[Precision.FP32])),
            int8=_engine_metrics(metrics.get(Precision.INT8)),
        ),
        data=_data_summary(contents),
        versions=tool_versions(),
        intended_use=f"{INTENDED_USE} {ON_PHANTOMS if only_phantoms else ON_A_COHORT}",
        disclaimer=DISCLAIMER,
    )


def _model_info(contents: BundleContents) -> dict[str, str]:
    """Return what Model API reads: a multi-label classifier and its labels."""
    return {
        "model_type": "Classification",
        "multilabel": "True",
        "output_raw_scores": "True",
        "labels": " ".join(name.replace(" ", "_") for name in contents.info.regions.names),
    }


def _aminet_info(contents: BundleContents) -> dict[str, str]:
    preprocessing = contents.info.preprocessing
    return {
        "approach": contents.info.approach.value,
        "channels": " ".join(preprocessing.channels),
        "window_hu": json.dumps(preprocessing.window_hu),
        "thresholds": json.dumps(contents.rule.patient_thresholds),
        "min_consecutive_slices": str(contents.rule.min_consecutive_slices),
        "window": str(contents.info.window.size),
        "window_spacing_mm": json.dumps(contents.info.window.spacing_mm),
        "disclaimer": DISCLAIMER,
    }


def _input_contract(contents: BundleContents) -> InputContract:
    preprocessing = contents.info.preprocessing
    scans = [patient.scan for patient in contents.source.patients[Split.TRAIN]]
    spacing_mm = np.median([scan.spacing_mm for scan in scans], axis=0)
    shape = np.median([scan.shape for scan in scans], axis=0).astype(int)
    return InputContract(
        channels=preprocessing.channels,
        window=contents.info.window.size,
        window_spacing_mm=contents.info.window.spacing_mm,
        window_hu=preprocessing.window_hu,
        training_spacing_mm=tuple(round(float(mm), 4) for mm in spacing_mm),  # type: ignore[arg-type]  # three
        training_shape=tuple(shape.tolist()),
        network_size_px=preprocessing.size_px,
        network_margin_px=preprocessing.margin_px,
        window_counts=_window_counts(contents),
    )


def _window_counts(contents: BundleContents) -> tuple[int, ...] | None:
    views_hu = contents.info.preprocessing.views_hu
    return tuple(map(len, views_hu)) if contents.source.shares_planes else None


def _engine_metrics(report: dict[str, Any] | None) -> EngineMetrics | None:
    if report is None:
        return None
    return EngineMetrics(_level(report["slice"]), _level(report["patient"]))


def _level(values: dict[str, Any]) -> LevelMetrics:
    names = ("tp", "fp", "fn", "tn", "precision", "recall", "f1", "accuracy")
    low, high = values["f1_ci95"]
    return LevelMetrics(**{name: values[name] for name in names}, f1_ci95=(low, high))


def _data_summary(contents: BundleContents) -> DataSummary:
    patients = contents.source.patients
    return DataSummary(
        training=_patient_set(patients[Split.TRAIN], and_of=contents.info.learned),
        validation=_patient_set(patients[Split.VALIDATION]),
        test=_patient_set(patients[Split.TEST]),
        calibration=_patient_set([chosen.patient for chosen in contents.networks.calibration]),
    )


def _patient_set(
    patients: Sequence[PreparedPatient], *, and_of: frozenset[str] = frozenset()
) -> PatientSet:
    return PatientSet(tuple(sorted({patient.fingerprint for patient in patients} | and_of)))
