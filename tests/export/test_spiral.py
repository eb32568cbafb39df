# SPDX-License-Identifier: Apache-2.0
"""The SPIRAL threshold as a bundle: the prepared maxima, found again by every engine."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from aminet_export.pipeline import export_bundle
from aminet_export.plan import Backend, ExportReport
from aminet_export.runs import data_of, newest_run
from aminet_export.source import load_source
from aminet_export.spiral_check import folder_difference, require_same_maxima
from aminet_export.spiral_slices import DrawnMaxima
from aminet_runtime.bundle import Bundle
from aminet_runtime.errors import GateFailed, InputInconsistent, InputMissing, UsageError
from aminet_runtime.metadata import Precision
from aminet_runtime.patient import Channel
from aminet_runtime.session import Session
from aminet_train.checkpoint import load_info
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.splits import Split
from aminet_train.judging.evaluation import evaluate_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx


@pytest.fixture(scope="module")
def plan(spiral, workshop, tmp_path_factory):
    return spiral.plan(
        tmp_path_factory.mktemp("export") / "spiral-fp32",
        precision=Precision.FP32,
        backend=Backend.BOTH,
        parity_patient=workshop.patient,
    )


@pytest.fixture(scope="module")
def report(plan) -> ExportReport:
    return export_bundle(plan)


def open_source(checkpoint, data):
    return load_source(checkpoint, (data,), on_progress=lambda _done, _total: None)


@pytest.mark.usefixtures("report")
def test_the_command_of_the_runtime_finds_what_preparation_found(report, spiral, workshop):
    prepared = PreparedCohort.open(spiral.data).patient("p0").truth.spiral
    with Session.open(report.bundle) as session:
        result = session.run(workshop.patient)

    # a maximum rounds nothing: no tolerance
    np.testing.assert_array_equal(result.scores, prepared)
    assert result.regions[3].probability == prepared[:, 3].max()


def test_keeps_the_threshold_that_was_fitted_on_training_patients(report, spiral):
    rule = load_info(spiral.checkpoint).rule
    metadata = Bundle.open(report.bundle).metadata

    assert metadata.decision.thresholds == rule.patient_thresholds
    assert metadata.decision.min_consecutive_slices == rule.min_consecutive_slices
    assert metadata.input.channels == (Channel.SPIRAL, Channel.ATLAS)


def test_figures_are_those_of_the_evaluation(report, spiral):
    expected = evaluate_checkpoint(spiral.checkpoint, [spiral.data], Split.TEST)
    found = report.verdict.metrics[Precision.FP32]

    for level in ("slice", "patient"):
        for key in ("tp", "fp", "fn", "tn", "f1", "f1_ci95"):
            assert found[level][key] == expected[level][key]
    assert found["patient"]["f1"] > 0


def test_the_bundle_is_evaluated_like_its_checkpoint(report, spiral):
    found = evaluate_checkpoint(report.bundle, [spiral.data], Split.TEST)
    assert found["patient"]["f1"] == report.verdict.metrics[Precision.FP32]["patient"]["f1"]


def test_every_stage_agrees_to_the_last_bit(report):
    for stages in (report.verdict.parity, report.verdict.full_size):
        assert [*stages] == ["torch", "ONNX", "IR float"]
        assert {stage.max_difference for stage in stages.values()} == {0}
    assert report.verdict.preprocessing_difference == 0
    assert all(row.max_difference == 0 for row in report.verdict.swept.rows)


def test_the_card_speaks_of_a_threshold(report):
    card = (report.bundle / "README.md").read_text()
    receipt = json.loads((report.bundle / "parity.json").read_text())

    assert "the highest SPIRAL value in it" in card
    assert "which chose nothing" in card
    assert "ImageNet" not in card
    assert receipt["preprocessing_difference"] == 0


def test_slices_are_drawn_with_the_prepared_maxima(spiral):
    patient = PreparedCohort.open(spiral.data).patient("p1")
    seen = set()
    for number in range(patient.slice_count):
        drawn, atlas = DrawnMaxima().slice_hu(patient, number)[0]
        for region in range(15):
            assert drawn[atlas == region].max() == patient.truth.spiral[number, region]
        seen.add(tuple(np.argwhere(drawn == drawn.max())[0] % 16))
    assert len(seen) == patient.slice_count  # the peaks wander


def test_a_folder_is_compared_with_its_own_maxima(spiral, workshop):
    source = open_source(spiral.checkpoint, spiral.data)
    scores = PreparedCohort.open(spiral.data).patient("p0").truth.spiral.copy()
    assert folder_difference(scores, source, workshop.patient) == 0

    scores[2, 3] += np.float32(0.25)

    assert folder_difference(scores, source, workshop.patient) == pytest.approx(0.25)


@pytest.mark.parametrize("difference", [1e-7, float("nan")])
def test_other_maxima_are_not_published(difference):
    with pytest.raises(GateFailed, match="maxima differ"):
        require_same_maxima(difference)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FP16])
def test_there_is_nothing_to_quantise(plan, tmp_path, precision):
    asked = replace(plan, precision=precision, output=tmp_path / "bundle")

    with pytest.raises(
        UsageError, match=f"no weights, so there is nothing to turn into {precision}"
    ):
        export_bundle(asked)

    assert list(tmp_path.iterdir()) == []


def test_refuses_data_that_it_was_not_fitted_on(spiral, workshop):
    """The same patients, but prepared with other channels: their fingerprints differ."""
    with pytest.raises(InputInconsistent, match="fitted on other training patients"):
        open_source(spiral.checkpoint, workshop.root / "prepared")


def test_names_the_held_out_patient_without_a_map(spiral, tmp_path):
    data = shutil.copytree(spiral.data, tmp_path / "prepared")
    patient = open_source(spiral.checkpoint, data).patients[Split.TEST][0]
    (patient.folder / "spiral.npy").unlink()

    with pytest.raises(InputMissing, match=f"{patient.patient_id} has no SPIRAL map"):
        open_source(spiral.checkpoint, data)


def test_needs_no_further_flags(spiral, tmp_path):
    shutil.copytree(spiral.root, tmp_path / "runs" / "spiral-1")
    checkpoint = newest_run("spiral", tmp_path / "runs")

    assert checkpoint == tmp_path / "runs" / "spiral-1" / "checkpoint"
    assert data_of(checkpoint) == (spiral.data,)
