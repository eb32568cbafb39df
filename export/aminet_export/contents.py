# SPDX-License-Identifier: Apache-2.0
"""What stands in a bundle beside the ONNX file: IR, metadata, self-test, receipts, card."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from aminet_export.calibration import CalibrationSlice, describe
from aminet_export.card import model_card
from aminet_export.onnx_graph import ONNX_FILE, add_onnx_metadata
from aminet_export.openvino_ir import annotate, save
from aminet_export.parity import Parity
from aminet_export.scoring import Sample
from aminet_runtime.bundle import METADATA, MODEL_BIN, MODEL_XML, README, SELFTEST, model_id
from aminet_runtime.decision import DecisionRule
from aminet_runtime.input_contract import InputContract
from aminet_runtime.metadata import Approach, Metadata, Precision
from aminet_runtime.patient import Channel
from aminet_runtime.selftest import SelfTest, write_selftest
from aminet_runtime.track_record import (
    DataSummary,
    EngineMetrics,
    LevelMetrics,
    Metrics,
    PatientSet,
)
from aminet_train.checkpoint import CheckpointInfo
from aminet_train.patients import PatientsBySplit
from aminet_train.prepared import PreparedPatient
from aminet_train.provenance import tool_versions
from aminet_train.splits import Split
from aminet_train.thresholds import ChosenRule

CALIBRATION = "calibration.json"
PARITY = "parity.json"

INTENDED_USE = (
    "Points a clinician to brain regions that may hold a clot in multiphase CT angiography. "
    "Trained and measured on digital phantoms only: it shows what the toolkit does, and says "
    "nothing about patients."
)
DISCLAIMER = (
    "Not a medical device. An aid to reading, not a diagnosis: a region that is not flagged may "
    "still hold a clot."
)


@dataclass(frozen=True, slots=True)
class BundleContents:
    """All that a bundle says besides its network.

    Attributes:
        name: Of the bundle.
        precision: Of the network that ships.
        info: The checkpoint's.
        patients: By split.
        rule: Chosen on validation with the network that ships.
        calibration: Slices that calibrated INT8; empty for float.
        metrics: On test patients, by precision.
        parity: Engine to its distance from torch.
        sample: Slices for the self-test.
    """

    name: str
    precision: Precision
    info: CheckpointInfo
    patients: PatientsBySplit
    rule: ChosenRule
    calibration: Sequence[CalibrationSlice]
    metrics: Mapping[Precision, dict[str, Any]]
    parity: Mapping[str, Parity]
    sample: Sample


def write_contents(folder: Path, model: ov.Model, contents: BundleContents) -> None:
    """Write IR, metadata, self-test, receipts and model card into a folder."""
    annotate(model, _model_info(contents), section="model_info")
    annotate(model, _aminet_info(contents), section="aminet_info")
    save(model, folder)
    _annotate_onnx(folder / ONNX_FILE, contents)
    metadata = _metadata(folder, contents)
    (folder / METADATA).write_bytes(metadata.to_bytes())
    write_selftest(folder / SELFTEST, _selftest(contents))
    _write_json(folder / CALIBRATION, describe(contents.calibration))
    _write_json(folder / PARITY, {name: p.to_json() for name, p in contents.parity.items()})
    (folder / README).write_text(model_card(metadata, contents.metrics, contents.parity))


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
        "disclaimer": DISCLAIMER,
    }


def _annotate_onnx(path: Path, contents: BundleContents) -> None:
    values = {f"model_info {key}": value for key, value in _model_info(contents).items()}
    values |= {f"aminet_info {key}": value for key, value in _aminet_info(contents).items()}
    add_onnx_metadata(path, values)


def _metadata(folder: Path, contents: BundleContents) -> Metadata:
    rule = contents.rule
    return Metadata(
        model_id=model_id((folder / MODEL_XML).read_bytes(), (folder / MODEL_BIN).read_bytes()),
        name=contents.name,
        approach=Approach(contents.info.approach.value),
        precision=contents.precision,
        input=_input_contract(contents),
        regions=contents.info.regions,
        decision=DecisionRule(
            thresholds=rule.patient_thresholds,
            min_consecutive_slices=rule.min_consecutive_slices,
        ),
        metrics=Metrics(
            float32=_engine_metrics(contents.metrics.get(Precision.FP32)),
            int8=_engine_metrics(contents.metrics.get(Precision.INT8)),
        ),
        data=_data_summary(contents),
        versions=tool_versions(),
        intended_use=INTENDED_USE,
        disclaimer=DISCLAIMER,
    )


def _input_contract(contents: BundleContents) -> InputContract:
    preprocessing = contents.info.preprocessing
    scans = [patient.scan for patient in contents.patients[Split.TRAIN]]
    spacing_mm = np.median([scan.spacing_mm for scan in scans], axis=0)
    shape = np.median([scan.shape for scan in scans], axis=0).astype(int)
    return InputContract(
        channels=preprocessing.channels,
        window=1,
        window_spacing_mm=None,
        window_hu=preprocessing.window_hu,
        training_spacing_mm=tuple(round(float(mm), 4) for mm in spacing_mm),  # type: ignore[arg-type]  # three
        training_shape=tuple(shape.tolist()),
        network_size_px=preprocessing.size_px,
    )


def _engine_metrics(report: dict[str, Any] | None) -> EngineMetrics | None:
    if report is None:
        return None
    return EngineMetrics(_level(report["slice"]), _level(report["patient"]))


def _level(values: dict[str, Any]) -> LevelMetrics:
    names = ("tp", "fp", "fn", "tn", "precision", "recall", "f1", "accuracy")
    low, high = values["f1_ci95"]
    return LevelMetrics(**{name: values[name] for name in names}, f1_ci95=(low, high))


def _data_summary(contents: BundleContents) -> DataSummary:
    return DataSummary(
        training=_patient_set(contents.patients[Split.TRAIN]),
        validation=_patient_set(contents.patients[Split.VALIDATION]),
        test=_patient_set(contents.patients[Split.TEST]),
        calibration=_patient_set([chosen.patient for chosen in contents.calibration]),
    )


def _patient_set(patients: Sequence[PreparedPatient]) -> PatientSet:
    return PatientSet(tuple(sorted({patient.fingerprint for patient in patients})))


def _selftest(contents: BundleContents) -> SelfTest:
    in_hu = Channel.SPIRAL not in contents.info.preprocessing.channels
    slices = contents.sample.slices_hu
    return SelfTest(slices.astype(np.int16) if in_hu else slices, contents.sample.probabilities)


def _write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n")
