# SPDX-License-Identifier: Apache-2.0
"""A network that sees each slice alone: one graph, quantised in its first part, then cut."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aminet_export.engines import onnx_scorer
from aminet_export.late_fusion import with_other_part
from aminet_export.layers import quantised_layers
from aminet_export.onnx_graph import ONNX_FILE, export_onnx, trace
from aminet_export.openvino_ir import convert, read
from aminet_export.openvino_scorer import fused_scorer, openvino_scorer
from aminet_export.pipeline import export_bundle
from aminet_export.plan import Backend, ExportPlan
from aminet_export.slices import folder_slices
from aminet_export.source import load_source
from aminet_runtime.engines.openvino_cut import cut, has_cut
from aminet_runtime.errors import UsageError
from aminet_runtime.metadata import Precision
from aminet_runtime.patient import Channel
from aminet_runtime.regions import REGION_COUNT, Regions
from aminet_runtime.session import Session
from aminet_train.checkpoint import CheckpointInfo, load_info, load_model, save_checkpoint
from aminet_train.cohort.prepare import prepare_cohort
from aminet_train.cohort.prepare_patient import PreparePlan
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.judging.evaluate import score_patient
from aminet_train.networks import Approach, build_network
from aminet_train.networks.heads import Head
from aminet_train.networks.mobilenetv2 import MobileNetV2Config
from aminet_train.preprocessing import PreprocessingConfig, in_channels
from aminet_train.slice_window import SliceWindow
from aminet_train.thresholds import ChosenRule

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx and nncf

WINDOW = SliceWindow(3, 15.0, late_fusion=True)
PREPROCESSING = PreprocessingConfig(
    channels=(Channel.CTA2, Channel.ATLAS),
    views_hu=(((-100.0, 500.0),), ((0.0, 255.0),)),
    size_px=(64, 64),
)
TRUE_SHARE = 0.2


@pytest.fixture(scope="module")
def made(workshop) -> Path:
    """A checkpoint and its prepared cohort, whose truth is what the network says."""
    root = workshop.root / "late"
    prepare_cohort(workshop.root / "cohort", PreparePlan(root / "prepared", PREPROCESSING), seed=0)
    cohort = PreparedCohort.open(root / "prepared")
    patients = [cohort.patient(name) for name in cohort.patient_ids()]
    network = random_network([patient.inputs(patient.kept, WINDOW) for patient in patients])
    info = CheckpointInfo(
        Approach.MOBILENETV2,
        MobileNetV2Config(head=Head.ATLAS),
        PREPROCESSING,
        Regions.numbered(),
        ChosenRule((0.5,) * REGION_COUNT, 0.5, 1),
        {},
        WINDOW,
    )
    save_checkpoint(root / "checkpoint", network, info)
    scores = [score_patient(network, patient, WINDOW) for patient in patients]
    bound = np.quantile(np.concatenate(scores), 1 - TRUE_SHARE)
    for patient, values in zip(patients, scores, strict=True):
        np.save(patient.folder / "labels.npy", (values >= bound).astype(np.uint8))
    return root


def random_network(inputs: list[torch.Tensor]) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_network(
        MobileNetV2Config(head=Head.ATLAS),
        in_channels=in_channels(PREPROCESSING, WINDOW),
        size_px=PREPROCESSING.size_px,
        slices=WINDOW.fused_slices,
    )
    torch.nn.init.normal_(network.head.fusion.clot.weight, std=2.0)
    torch.nn.init.normal_(network.head.clot.weight, std=2.0)
    with torch.no_grad():
        for batch in inputs[:10]:
            network.train()(batch)  # measures batch norm
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def bundle(made, workshop, tmp_path_factory) -> Path:
    plan = ExportPlan(
        checkpoint=made / "checkpoint",
        data=(made / "prepared",),
        output=tmp_path_factory.mktemp("export") / "late-int8",
        precision=Precision.INT8,
        backend=Backend.BOTH,
        max_drop=0.9,  # a random network's answers lie too close together for INT8
        calibration_slices=32,
        parity_patient=workshop.patient,
    )
    report = export_bundle(plan)
    for stages in (report.verdict.parity, report.verdict.full_size):
        assert stages["ONNX"].max_difference < 1e-4  # float32 sums in another order
        assert stages["IR float"].max_difference < 1e-4
    assert 0 < report.verdict.preprocessing_difference <= 0.51 / 255
    return report.bundle


def test_what_compares_slices_stays_float(bundle):
    model = read(bundle)
    assert has_cut(model)
    alone, together = cut(model, channels=2)
    assert len(quantised_layers(alone)) > 50
    assert quantised_layers(together) == []


def test_the_runtime_sees_each_slice_once_and_says_the_same(bundle, workshop):
    model = read(bundle)
    expected = np.zeros((9, REGION_COUNT), np.float32)
    for part in folder_slices(workshop.patient, PREPROCESSING, WINDOW):
        expected[part.index] = openvino_scorer(model, part.shape)([part.slices_hu])[0]
    with Session.open(bundle, threads=1) as session:
        scores = session.run(workshop.patient).scores
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert np.ptp(scores, axis=0).max() > 0.01


def test_patients_are_scored_as_windows_are(made, bundle):
    source = load_source(
        made / "checkpoint", (made / "prepared",), on_progress=lambda _done, _total: None
    )
    patient = next(iter(source.patients.values()))[0]
    model = read(bundle)
    numbers = np.arange(patient.slice_count, dtype=np.int32)
    once = fused_scorer(model, source.slices_alone.shape)(
        source.slices_alone.all_slices_hu(patient), patient.neighbours(numbers, WINDOW)
    )
    windows = openvino_scorer(model, source.cached_shape)(source.shown.all_slices_hu(patient))
    np.testing.assert_allclose(once, windows, atol=1e-5)


def test_the_float_twin_answers_for_windows(made, bundle, workshop):
    _info, model = load_model(made / "checkpoint")
    part = next(iter(folder_slices(workshop.patient, PREPROCESSING, WINDOW)))
    answers = onnx_scorer(bundle / ONNX_FILE)([part.slices_hu])
    with torch.inference_mode():
        expected = model(torch.from_numpy(part.slices_hu))[0].numpy()
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_a_part_can_be_put_in_the_place_of_another(made, tmp_path):
    """The float network gets its own first part back, and says what it said."""
    _info, model = load_model(made / "checkpoint")
    export_onnx(trace(model, planes=6), tmp_path / ONNX_FILE)
    graph = convert(tmp_path / ONNX_FILE)
    joined = with_other_part(graph, cut(graph, channels=2).alone)
    slices_hu = np.random.default_rng(0).uniform(-100, 500, (1, 6, 80, 72)).astype(np.float32)
    slices_hu[:, 3:] = np.random.default_rng(1).integers(0, 15, (1, 3, 80, 72))
    before, after = (openvino_scorer(m, slices_hu.shape)([slices_hu]) for m in (graph, joined))
    np.testing.assert_array_equal(before, after)
    assert has_cut(joined)


def test_several_windows_of_a_channel_are_refused(made, tmp_path):
    info = load_info(made / "checkpoint")
    twice = replace(PREPROCESSING, views_hu=(((-100.0, 500.0), (0.0, 100.0)), ((0.0, 255.0),)))
    network = build_network(
        info.network, in_channels=in_channels(twice, WINDOW), size_px=(64, 64), slices=3
    )
    save_checkpoint(tmp_path / "checkpoint", network, replace(info, preprocessing=twice))
    prepare_cohort(made.parent / "cohort", PreparePlan(tmp_path / "prepared", twice), seed=0)
    with pytest.raises(UsageError, match="several HU windows") as caught:
        load_source(
            tmp_path / "checkpoint", (tmp_path / "prepared",), on_progress=lambda *_counts: None
        )
    assert caught.value.exit_code == 2
