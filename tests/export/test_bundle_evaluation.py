# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np

from aminet_export.pipeline import export_bundle
from aminet_runtime.bundle import Bundle
from aminet_runtime.metadata import Precision
from aminet_runtime.session import Session
from aminet_train.commands.evaluate import main
from aminet_train.networks import Approach
from aminet_train.preprocessing import PreprocessingConfig


def test_bundle_and_its_checkpoint_stand_in_one_table(simple, tmp_path, capsys):
    plan = simple.plan(tmp_path / "bundle", precision=Precision.FP32)
    export_bundle(plan)
    models = [f"bundle={tmp_path / 'bundle'}", f"torch={simple.checkpoint}"]
    assert main([*models, "--data", str(simple.data), "--json"]) == 0
    bundle, checkpoint = json.loads(capsys.readouterr().out)["models"]
    metrics = Bundle.open(tmp_path / "bundle").metadata.metrics
    assert metrics is not None
    assert metrics.float32 is not None
    stated = metrics.float32.to_json()["patient"]
    assert {name: bundle["patient"][name] for name in ("tp", "fp", "fn", "tn")} == {
        name: stated[name] for name in ("tp", "fp", "fn", "tn")
    }
    assert bundle["approach"] == "simple_cnn fp32"
    assert bundle["patients"] == checkpoint["patients"]
    # float engines rank alike
    assert (
        abs(bundle["slice"]["average_precision"] - checkpoint["slice"]["average_precision"]) < 0.02
    )


def test_a_bundle_that_sees_the_middle_of_the_slice_is_as_its_checkpoint(
    workshop, tmp_path, capsys
):
    """Its evidence covers the whole slice, cached and full-size slices agree, the runtime too."""
    config = PreprocessingConfig.from_preset("cta", size_px=(64, 64), margin_px=(16, 16))
    made = workshop.make("margin", Approach.SIMPLE_CNN, preprocessing=config)
    plan = made.plan(tmp_path / "bundle", precision=Precision.FP32, parity_patient=workshop.patient)
    report = export_bundle(plan)
    bundle = Bundle.open(plan.output)
    assert bundle.metadata.input.frame_px == (96, 96)
    assert "67 % of its rows and 67 % of its columns" in (plan.output / "README.md").read_text()
    assert report.verdict.preprocessing_difference < 0.51 / 255
    with Session.open(bundle, threads=1) as session:
        evidence = session.answer(np.zeros((1, 96, 96), np.float32)).evidence
    margin = evidence.shape[1] // 6
    assert evidence.shape[1] * 16 % 96 == 0
    assert not evidence[:, :margin].any()
    assert evidence[:, margin:-margin, margin:-margin].all()
    models = [f"bundle={plan.output}", f"torch={made.checkpoint}"]
    assert main([*models, "--data", str(made.data), "--json", "-o", str(tmp_path / "out")]) == 0
    shipped, checkpoint = json.loads(capsys.readouterr().out)["models"]
    difference = shipped["slice"]["average_precision"] - checkpoint["slice"]["average_precision"]
    assert abs(difference) < 0.02  # float engines rank alike
