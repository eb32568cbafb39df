# SPDX-License-Identifier: Apache-2.0
import json

from aminet_export.pipeline import export_bundle
from aminet_runtime.bundle import Bundle
from aminet_runtime.metadata import Precision
from aminet_train.commands.evaluate import main


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
