# SPDX-License-Identifier: Apache-2.0
"""What stands in a bundle beside the ONNX file: IR, metadata, self-test, receipts, card."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_export.calibration import describe
from aminet_export.card import model_card
from aminet_export.gate import CASE_SELFTEST
from aminet_export.judge import parity_patients, upscaled
from aminet_export.networks import Networks
from aminet_export.onnx_graph import ONNX_FILE, add_onnx_metadata
from aminet_export.onnx_int8 import ONNX_INT8_FILE
from aminet_export.openvino_ir import annotate, read, save
from aminet_export.openvino_scorer import openvino_scorer
from aminet_export.plan import Backend, ExportPlan, Verdict
from aminet_export.shared_planes import share_planes_in_ir, share_planes_in_onnx
from aminet_export.source import Source
from aminet_runtime.bundle import (
    METADATA,
    MODEL_BIN,
    MODEL_XML,
    README,
    SELFTEST,
    Bundle,
    model_id,
    write_checksums,
)
from aminet_runtime.decision import DecisionRule
from aminet_runtime.engines.openvino import OpenVinoEngine
from aminet_runtime.errors import GateFailed
from aminet_runtime.input_contract import InputContract
from aminet_runtime.metadata import Approach, Metadata, Precision
from aminet_runtime.publish import write_whole
from aminet_runtime.selftest import (
    TOLERANCE,
    SelfTest,
    largest_difference,
    read_selftest,
    write_selftest,
)
from aminet_runtime.track_record import (
    DataSummary,
    EngineMetrics,
    LevelMetrics,
    Metrics,
    PatientSet,
)
from aminet_train.checkpoint import CheckpointInfo
from aminet_train.cohort.prepared import PreparedPatient
from aminet_train.cohort.splits import Split
from aminet_train.provenance import tool_versions
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


SAMPLE_SHARES = (0.35, 0.65)
"""Heights of the self-test's slices: the skull base with the large arteries, and the convexity."""


@dataclass(frozen=True, slots=True)
class BundleContents:
    """All that a bundle is made of besides its network files.

    Attributes:
        plan: What was asked for.
        source: Checkpoint and patients.
        networks: Float, and what ships.
        verdict: What held-out patients and instruction sets said.
    """

    plan: ExportPlan
    source: Source
    networks: Networks
    verdict: Verdict

    @property
    def info(self) -> CheckpointInfo:
        """The checkpoint's."""
        return self.source.info

    @property
    def rule(self) -> ChosenRule:
        """Chosen on validation patients with the network that ships."""
        return self.networks.shipped.validation.rule


def write_selftest_of(folder: Path, contents: BundleContents) -> int:
    """Write slices of a held-out patient and what the network that ships says about them.

    Returns:
        How many slices there are.
    """
    source = contents.source
    patient = parity_patients(source)[0]
    numbers = [int(share * patient.slice_count) for share in SAMPLE_SHARES]
    views_hu = upscaled(np.concatenate([source.slice_hu(patient, number) for number in numbers]))
    _planes, first_views = np.unique(source.plane_of_view, return_index=True)
    planes_hu = views_hu[:, first_views]  # what the first window of each channel shows
    in_hu = all(channel.in_hu for channel in contents.info.preprocessing.channels)
    stored = np.rint(planes_hu).astype(np.int16) if in_hu else planes_hu
    shown = stored.astype(np.float32)[:, source.plane_of_view]
    scorer = openvino_scorer(contents.networks.shipped.model, (1, *shown.shape[1:]))
    answers = scorer(part[np.newaxis] for part in shown)
    write_selftest(folder / SELFTEST, SelfTest(stored, answers))
    return len(answers)


def write_card(folder: Path, contents: BundleContents) -> None:
    """Write metadata into the networks and beside them, receipts, model card and check sums."""
    _annotate_networks(folder, contents)
    metadata = _metadata(folder, contents)
    write_whole(folder / METADATA, metadata.to_bytes())
    _write_json(folder / CALIBRATION, _calibration_receipt(contents))
    _write_json(folder / PARITY, _parity_receipt(contents))
    card = model_card(metadata, contents.verdict)
    write_whole(folder / README, card.encode())
    if contents.plan.backend is Backend.OPENVINO:
        (folder / ONNX_FILE).unlink()
    write_checksums(folder)


def seal(folder: Path) -> float:
    """Open the bundle as a host would, and let the runtime's own engine take the self-test.

    Returns:
        The largest difference in probability to what the export saw.

    Raises:
        GateFailed: The runtime does not give the answers that the export saw.
    """
    bundle = Bundle.open(folder)
    selftest = read_selftest(bundle)
    _count, _planes, height, width = selftest.slices_hu.shape
    network = OpenVinoEngine(bundle, threads=1).compile(height=height, width=width)

    def answer(planes_hu: NDArray[np.float32]) -> NDArray[np.float32]:
        network.input_hu[:] = planes_hu
        return network.infer().probabilities

    largest = largest_difference(selftest, answer)
    if not largest <= TOLERANCE:
        raise GateFailed(
            f"the runtime's answers differ from the export's by {largest:.2g}",
            case=CASE_SELFTEST,
            hint="please report this with the checkpoint",
        )
    return largest


def _annotate_networks(folder: Path, contents: BundleContents) -> None:
    """Write the same keys into the IR's rt_info and the ONNX files' metadata_props."""
    sections = {"model_info": _model_info(contents), "aminet_info": _aminet_info(contents)}
    model = read(folder)
    if contents.source.shares_planes:
        share_planes_in_ir(model, contents.source.plane_of_view)
    for section, values in sections.items():
        annotate(model, values, section=section)
    save(model, folder, contents.plan.precision)
    flat = {f"{name} {key}": v for name, values in sections.items() for key, v in values.items()}
    for name in (ONNX_FILE, ONNX_INT8_FILE):
        if (folder / name).exists():
            if contents.source.shares_planes:
                share_planes_in_onnx(folder / name, contents.source.plane_of_view)
            add_onnx_metadata(folder / name, flat)


def _calibration_receipt(contents: BundleContents) -> dict[str, object]:
    patients, seed = contents.source.patients, contents.plan.seed
    return describe(contents.networks.calibration, patients, seed=seed)


def _parity_receipt(contents: BundleContents) -> dict[str, object]:
    verdict = contents.verdict
    drops = verdict.drops or {}
    return {
        "patients": [patient.fingerprint for patient in parity_patients(contents.source)],
        "cached": {name: parity.to_json() for name, parity in verdict.parity.items()},
        "full_size": {name: parity.to_json() for name, parity in verdict.full_size.items()},
        "preprocessing_difference": verdict.preprocessing_difference,
        "accuracy": {
            "max_drop": contents.plan.max_drop,
            "drops": {level.value: drop.to_json() for level, drop in drops.items()},
            "restored_layers": list(verdict.restored_layers),
        },
        "instruction_sets": verdict.swept.to_json(),
    }


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


def _metadata(folder: Path, contents: BundleContents) -> Metadata:
    rule, metrics = contents.rule, contents.verdict.metrics
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
        intended_use=INTENDED_USE,
        disclaimer=DISCLAIMER,
    )


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
        training=_patient_set(patients[Split.TRAIN]),
        validation=_patient_set(patients[Split.VALIDATION]),
        test=_patient_set(patients[Split.TEST]),
        calibration=_patient_set([chosen.patient for chosen in contents.networks.calibration]),
    )


def _patient_set(patients: Sequence[PreparedPatient]) -> PatientSet:
    return PatientSet(tuple(sorted({patient.fingerprint for patient in patients})))


def _write_json(path: Path, values: object) -> None:
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())
