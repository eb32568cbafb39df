# SPDX-License-Identifier: Apache-2.0
import json
import shutil

import pytest

from aminet_export import pipeline
from aminet_export.cli import main
from aminet_runtime.bundle import Bundle
from aminet_runtime.errors import InternalError
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.run_folder import RunFolder
from aminet_train.networks import Approach
from aminet_train.networks.simple_cnn import SimpleCnnConfig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx


@pytest.fixture
def run(simple, tmp_path, monkeypatch):
    """A finished run below runs/ of the current folder, which names its data."""
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(
        data=(simple.data,), approach=Approach.SIMPLE_CNN, network=SimpleCnnConfig()
    )
    folder = RunFolder(tmp_path / "runs" / "simple_cnn-1")
    folder.begin(config, "")
    shutil.copytree(simple.checkpoint, folder.checkpoint)
    return folder.path


@pytest.mark.usefixtures("run")
def test_exports_the_newest_run_with_no_further_flags(tmp_path, capsys):
    assert main(["--model", "simple_cnn", "--json"]) == 0

    printed = capsys.readouterr()
    report = json.loads(printed.out)  # stdout holds the report and nothing else
    assert report["bundle"] == "simple_cnn-fp32"
    assert [step["name"] for step in report["steps"]][-1] == "publish"
    assert "convert to IR:" in printed.err
    assert Bundle.open(tmp_path / "simple_cnn-fp32").name == "simple_cnn-fp32"


@pytest.mark.usefixtures("run")
def test_the_card_says_phantoms_of_phantoms_alone(tmp_path):
    assert main(["--model", "simple_cnn", "-q"]) == 0

    bundle = Bundle.open(tmp_path / "simple_cnn-fp32")
    card = (bundle.path / "README.md").read_text()
    assert "cohort that it was trained with" in bundle.metadata.intended_use
    assert "hantom" not in card  # no phantom.json lies in these folders
    assert "Training began with random weights" in card


@pytest.fixture
def planned(monkeypatch):
    """The plan of the command, which is not carried out."""
    plans = []

    def remember(plan, _listeners):
        plans.append(plan)
        raise InternalError("enough")

    monkeypatch.setattr(pipeline, "export_bundle", remember)
    return plans


@pytest.mark.usefixtures("run")
def test_int8_needs_no_further_flags_either(planned, simple):
    main(["--model", "simple_cnn", "--int8"])

    (plan,) = planned
    assert plan.checkpoint.parent.name == "simple_cnn-1"
    assert plan.data == (simple.data,)
    assert (plan.precision, plan.output.name) == ("int8", "simple_cnn-int8")
    assert (plan.max_drop, plan.parity_patient) == (0.01, None)


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("name", ["my bundle", "v1.", "nul"])
def test_refuses_a_name_that_no_bundle_may_have_before_the_work(planned, capsys, name):
    assert main(["--model", "simple_cnn", "-o", name]) == 2

    assert planned == []
    assert "has a name that not every system takes" in capsys.readouterr().err


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("allowed", ["nan", "-0.1", "2", "inf"])
def test_refuses_an_allowance_that_would_open_the_gate(planned, capsys, allowed):
    assert main(["--model", "simple_cnn", f"--max-drop={allowed}"]) == 2

    assert planned == []
    assert "is not within 0..1" in capsys.readouterr().err


def test_flags_go_into_the_plan(planned, run):
    main(
        [
            *("--checkpoint", str(run / "checkpoint"), "--data", "other", "-o", "out"),
            *("--precision", "fp16", "--backend", "openvino", "--max-drop", "0.02"),
            *("--parity-patient", "p1", "--seed", "5"),
        ]
    )
    (plan,) = planned
    assert [path.name for path in (*plan.data, plan.output, plan.parity_patient)] == [
        "other",
        "out",
        "p1",
    ]
    assert (plan.precision, plan.backend, plan.max_drop, plan.seed) == ("fp16", "openvino", 0.02, 5)


def test_says_what_to_do_where_there_is_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["--model", "mobilenetv2", "--int8"]) == 10

    said = capsys.readouterr().err
    assert "no finished run of mobilenetv2 below runs/" in said
    assert "aminet-train --model mobilenetv2" in said


@pytest.mark.parametrize("flags", [[], ["--model", "simple_cnn", "--checkpoint", "x"]])
def test_wants_one_source(flags, capsys):
    assert main([*flags, "--int8"]) == 2
    assert "name either --model or --checkpoint" in capsys.readouterr().err
