# SPDX-License-Identifier: Apache-2.0
"""A bundle whose network was never trained: for figures about speed and memory, and nothing else.

It goes the same way as an export, from checkpoint over ONNX and the quantiser to an IR, but nothing
judges its answers, since there is nothing to judge; its card says so.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.streamed import StreamedCohort, prepare_phantoms
from aminet_benchmarks.untrained import THRESHOLD, UntrainedPlan, write_untrained_checkpoint
from aminet_benchmarks.usual_phantom import FULL_SHAPE, PHANTOM_SEED
from aminet_export.calibration import CalibrationSlice, calibration_hu, choose_calibration
from aminet_export.onnx_graph import ONNX_FILE, export_onnx, trace
from aminet_export.onnx_int8 import ONNX_INT8_FILE, quantize_onnx
from aminet_export.openvino_ir import convert, read, save
from aminet_export.openvino_scorer import openvino_scorer
from aminet_export.quantize import quantize
from aminet_runtime.bundle import (
    METADATA,
    MODEL_BIN,
    MODEL_XML,
    README,
    SELFTEST,
    model_id,
    write_checksums,
)
from aminet_runtime.decision import DecisionRule
from aminet_runtime.input_contract import InputContract
from aminet_runtime.metadata import Approach as BundleApproach
from aminet_runtime.metadata import Metadata, Precision
from aminet_runtime.publish import publish_folder, write_whole
from aminet_runtime.regions import REGION_COUNT
from aminet_runtime.selftest import SelfTest, write_selftest
from aminet_runtime.track_record import DataSummary, PatientSet
from aminet_train.checkpoint import load_model
from aminet_train.cohort.prepare_patient import PreparePlan
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import IMAGE_LEVELS, PreparedPatient, ScanInfo
from aminet_train.cohort.splits import Split
from aminet_train.model import DeployableModel
from aminet_train.provenance import tool_versions
from aminet_train.slice_window import SINGLE_SLICE

PHANTOM_SHAPE = (128, 128, 32)
"""A small copy of the full-size scans that the bundle says it was trained on."""

CALIBRATION_SLICES = 24
"""Ranges of random weights need no more."""

SELFTEST_SLICES = 2
INTENDED_USE = "Figures about speed and memory only: the network was never trained."
DISCLAIMER = "Not a medical device, and not even a trained network: its answers mean nothing."

MATERIAL, IN_ALL = "phantom and network", "export in all"

Seconds = Mapping[str, float]
"""By step."""


@dataclass(frozen=True, slots=True)
class SpeedBundlePlan:
    """What to make.

    Attributes:
        network: Approach, input and settings.
        output: The bundle's folder; must not exist.
        calibration_slices: How many slices calibrate INT8.
        with_onnx: Whether the ONNX twins go with it, float and INT8.
    """

    network: UntrainedPlan
    output: Path
    calibration_slices: int = CALIBRATION_SLICES
    with_onnx: bool = True


def write_speed_bundle(plan: SpeedBundlePlan) -> Seconds:
    """Build a network with random weights, quantise it, and write it as a bundle.

    Returns:
        Processor time of each step, and of the export in all.

    Raises:
        OutputExists: There is a folder with something in it.
    """
    watch = _Watch()
    with (
        tempfile.TemporaryDirectory(prefix="aminet-untrained-") as scratch,
        publish_folder(plan.output) as folder,
    ):
        patient = _prepared_phantom(plan.network, Path(scratch) / "prepared")
        calibration = choose_calibration([patient], SINGLE_SLICE, count=plan.calibration_slices)
        model = _untrained_model(plan.network, patient, Path(scratch) / "checkpoint")
        watch.lap(MATERIAL)
        export_onnx(
            trace(model, planes=len(plan.network.preprocessing.channels)), folder / ONNX_FILE
        )
        watch.lap("ONNX")
        reference = convert(folder / ONNX_FILE)
        watch.lap("convert to IR")
        save(quantize(reference, calibration, model.preprocessing), folder, Precision.INT8)
        watch.lap("calibrate and quantise")
        if plan.with_onnx:
            twin = folder / ONNX_INT8_FILE
            quantize_onnx(folder / ONNX_FILE, twin, calibration, model.preprocessing)
            watch.lap("ONNX INT8")
        else:
            (folder / ONNX_FILE).unlink()
        _write_contents(folder, plan, calibration, model)
        watch.lap("self-test and card")
    in_all = sum(taken for step, taken in watch.seconds.items() if step != MATERIAL)
    return {**watch.seconds, IN_ALL: in_all}


class _Watch:
    """Tells how much processor time each step took, in this process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.process_time()

    def lap(self, step: str) -> None:
        """End a step."""
        now = time.process_time()
        self.seconds[step], self._started = now - self._started, now


def _prepared_phantom(network: UntrainedPlan, root: Path) -> PreparedPatient:
    config = preset_config("report", shape=PHANTOM_SHAPE)
    cohort = StreamedCohort(1, PHANTOM_SEED, config, Split.TRAIN)
    plan = PreparePlan(root, network.preprocessing)
    prepare_phantoms(cohort, plan, on_progress=lambda _done, _total: None)
    prepared = PreparedCohort.open(root)
    return prepared.patient(prepared.patient_ids()[0])


def _untrained_model(
    network: UntrainedPlan, patient: PreparedPatient, folder: Path
) -> DeployableModel:
    images = torch.from_numpy(patient.images() / np.float32(IMAGE_LEVELS))
    write_untrained_checkpoint(network, folder, norm_images=images)
    return load_model(folder)[1]


def _write_contents(
    folder: Path,
    plan: SpeedBundlePlan,
    calibration: Sequence[CalibrationSlice],
    model: DeployableModel,
) -> None:
    chosen = calibration[:SELFTEST_SLICES]
    slices_hu = [calibration_hu(one, model.preprocessing)[0] for one in chosen]
    write_selftest(folder / SELFTEST, _known_answers(folder, np.rint(slices_hu).astype(np.int16)))
    metadata = _metadata(folder, plan, calibration[0].patient)
    write_whole(folder / METADATA, metadata.to_bytes())
    write_whole(folder / README, f"# {metadata.name}\n\n{INTENDED_USE} {DISCLAIMER}\n".encode())
    write_checksums(folder)


def _known_answers(folder: Path, slices_hu: NDArray[np.int16]) -> SelfTest:
    shown = slices_hu.astype(np.float32)
    scorer = openvino_scorer(read(folder), (1, *shown.shape[1:]))
    return SelfTest(slices_hu, scorer(one[np.newaxis] for one in shown))


def _metadata(folder: Path, plan: SpeedBundlePlan, patient: PreparedPatient) -> Metadata:
    preprocessing, scan = plan.network.preprocessing, patient.scan
    nobody = PatientSet(fingerprints=())
    return Metadata(
        model_id=model_id((folder / MODEL_XML).read_bytes(), (folder / MODEL_BIN).read_bytes()),
        name=plan.output.name,
        approach=BundleApproach(plan.network.approach.value),
        precision=Precision.INT8,
        input=InputContract(
            channels=preprocessing.channels,
            window=1,
            window_spacing_mm=None,
            window_hu=preprocessing.window_hu,
            training_spacing_mm=_full_size_spacing(scan),
            training_shape=FULL_SHAPE,
            network_size_px=preprocessing.size_px,
            network_margin_px=preprocessing.margin_px,
        ),
        regions=plan.network.regions,
        decision=DecisionRule((THRESHOLD,) * REGION_COUNT, 1),
        metrics=None,
        data=DataSummary(nobody, nobody, nobody, nobody),
        versions=tool_versions(),
        intended_use=INTENDED_USE,
        disclaimer=DISCLAIMER,
    )


def _full_size_spacing(scan: ScanInfo) -> tuple[float, float, float]:
    x_mm, y_mm, z_mm = (
        spacing * voxels / full
        for spacing, voxels, full in zip(scan.spacing_mm, scan.shape, FULL_SHAPE, strict=True)
    )
    return x_mm, y_mm, z_mm
