# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import onnx
import pytest

from aminet_export.cli import main
from aminet_export.pipeline import ExportReport, export_bundle
from aminet_runtime.bundle import Bundle
from aminet_runtime.engines.openvino import OpenVinoEngine
from aminet_runtime.engines.openvino_import import shared_core
from aminet_runtime.errors import InputMissing, ModelInvalid, OutputExists
from aminet_runtime.metadata import Precision
from aminet_runtime.selftest import read_selftest
from aminet_train.splits import Split, all_in, read_splits, write_splits

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx and nncf


@pytest.fixture(scope="module")
def steps() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(workshop, tmp_path_factory, steps) -> ExportReport:
    output = tmp_path_factory.mktemp("export") / "mobilenetv2-int8"
    return export_bundle(workshop.plan(output), on_step=lambda name, _seconds: steps.append(name))


def test_the_runtime_opens_the_bundle(report):
    bundle = Bundle.open(report.bundle)
    assert bundle.metadata.name == "mobilenetv2-int8"
    assert bundle.metadata.precision is Precision.INT8
    assert bundle.metadata.input.network_size_px == (64, 64)


def test_the_self_test_holds_in_the_runtimes_engine(report):
    bundle = Bundle.open(report.bundle)
    selftest = read_selftest(bundle)
    assert len(selftest.slices_hu) == 2
    network = OpenVinoEngine(bundle, threads=1).compile(height=72, width=80)
    for slices_hu, expected in zip(selftest.slices_hu, selftest.probabilities, strict=True):
        network.input_hu[:] = slices_hu
        # the same engine on the same machine, and whole HU: no tolerance
        np.testing.assert_array_equal(network.infer().probabilities, expected)


def test_float_engines_agree_with_torch(report):
    for name in ("ONNX Runtime, float", "OpenVINO, float"):
        # float32 sums in another order
        assert report.parity[name].max_difference < 1e-4
        assert report.parity[name].patient_decisions_changed == 0


def test_int8_is_another_network_but_a_near_one(report):
    parity = report.parity["OpenVINO, int8"]
    assert 0 < parity.max_difference < 0.1
    assert parity.slice_decisions == 9 * 15


def test_int8_is_smaller_than_float(report):
    assert (report.bundle / "model.bin").stat().st_size < 0.4 * (
        report.bundle / "model.onnx"
    ).stat().st_size


def test_calibration_is_drawn_from_training_patients_only(report):
    data = Bundle.open(report.bundle).metadata.data
    calibrated = set(data.calibration.fingerprints)
    assert calibrated
    assert calibrated <= set(data.training.fingerprints)
    assert not calibrated & {*data.validation.fingerprints, *data.test.fingerprints}
    receipt = json.loads((report.bundle / "calibration.json").read_text())
    assert receipt["count"] == 16
    assert {patient["fingerprint"] for patient in receipt["patients"]} == calibrated


def test_preprocessing_stays_float(report):
    model = shared_core().read_model(report.bundle / "model.xml")
    types = [node.get_type_name() for node in model.get_ordered_ops()]
    resize = types.index("Interpolate")
    assert "FakeQuantize" in types
    assert "FakeQuantize" not in types[:resize]


def test_onnx_twin_carries_contract_and_metadata(report):
    model = onnx.load(report.bundle / "model.onnx")
    assert [value.name for value in model.graph.input] == ["slices"]
    assert [value.name for value in model.graph.output] == ["probabilities", "evidence"]
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["model_info multilabel"] == "True"
    assert properties["aminet_info channels"] == "cta2"


def test_ir_carries_metadata(report):
    model = shared_core().read_model(report.bundle / "model.xml")
    assert model.get_rt_info(["aminet_info", "approach"]).astype(str) == "mobilenetv2"
    assert model.get_rt_info(["model_info", "labels"]).astype(str).startswith("region_0 region_1")


def test_card_shows_the_measured_figures(report):
    card = (report.bundle / "README.md").read_text()
    f1 = report.metrics[Precision.INT8]["patient"]["f1"]
    assert f"| int8 | patient | {f1:.3f} |" in card
    assert "Not a medical device" in card


def test_names_every_step_in_order(report, steps):
    assert steps == list(report.seconds)
    assert steps[0] == "load checkpoint"
    assert steps[-1] == "write the bundle"


def test_float_export_needs_no_calibration(workshop, tmp_path):
    plan = workshop.plan(tmp_path / "float", precision=Precision.FP32, keeps_onnx=False)
    report = export_bundle(plan, on_step=lambda _name, _seconds: None)
    bundle = Bundle.open(report.bundle)
    assert bundle.metadata.precision is Precision.FP32
    assert bundle.metadata.data.calibration.count == 0
    assert not (report.bundle / "model.onnx").exists()


def test_a_failure_names_its_step_and_leaves_nothing(workshop, tmp_path):
    plan = workshop.plan(tmp_path / "out" / "bundle")
    broken = type(plan)(
        **{
            **{name: getattr(plan, name) for name in plan.__dataclass_fields__},
            "checkpoint": tmp_path / "absent",
        }
    )
    with pytest.raises(ModelInvalid, match="step 'load checkpoint': not a checkpoint"):
        export_bundle(broken, on_step=lambda _name, _seconds: None)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_existing_folder_stays_as_it_is(report, workshop):
    before = sorted(report.bundle.iterdir())
    with pytest.raises(OutputExists):
        export_bundle(workshop.plan(report.bundle), on_step=lambda _name, _seconds: None)
    assert sorted(report.bundle.iterdir()) == before


def test_needs_patients_of_all_three_splits(workshop, tmp_path):
    splits = read_splits(workshop.prepared)
    try:
        write_splits(workshop.prepared, all_in(Split.TRAIN, splits[Split.TRAIN]))
        with pytest.raises(InputMissing, match="there are no validation and no test patients"):
            export_bundle(workshop.plan(tmp_path / "b"), on_step=lambda _name, _seconds: None)
    finally:
        write_splits(workshop.prepared, splits)


def test_command_prints_the_parity_table(workshop, tmp_path, capsys):
    arguments = ["--checkpoint", workshop.checkpoint, "--data", workshop.prepared]
    arguments += ["--parity-patient", workshop.patient, "-o", tmp_path / "bundle"]
    assert main([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr()
    assert "| ONNX Runtime, float |" in printed.out
    assert "convert to OpenVINO IR:" in printed.err
