# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import onnx
import pytest

from aminet_export.isa_sweep import ISA_FLAGS, available_isas, sweep_table
from aminet_export.onnx_graph import OPSET
from aminet_export.pipeline import export_bundle
from aminet_export.plan import Backend, ExportReport, Listeners
from aminet_export.resizing import RESIZED_IMAGES
from aminet_runtime.bundle import Bundle
from aminet_runtime.engines.openvino import OpenVinoEngine
from aminet_runtime.engines.openvino_import import shared_core
from aminet_runtime.metadata import Precision
from aminet_runtime.selftest import read_selftest
from aminet_train.levels import Level
from aminet_train.networks import Approach

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx and nncf

STEPS = [
    "load checkpoint",
    "trace",
    "ONNX",
    "check ONNX",
    "convert to IR",
    "calibrate and quantise",
    "restore accuracy",
    "ONNX INT8",
    "compare",
    "judge ONNX INT8",
    "compare stages",
    "sweep instruction sets",
    "self-test",
    "card",
    "publish",
]


@pytest.fixture(scope="module")
def steps() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(workshop, tmp_path_factory, steps) -> ExportReport:
    made = workshop.make("mobile", Approach.MOBILENETV2)
    plan = made.plan(
        tmp_path_factory.mktemp("export") / "mobilenetv2-int8",
        backend=Backend.BOTH,
        max_drop=0.5,  # a random network's answers lie too close together for INT8
        parity_patient=workshop.patient,
    )
    return export_bundle(plan, Listeners(on_step=lambda step: steps.append(step.name)))


def test_the_runtime_opens_the_bundle(report):
    bundle = Bundle.open(report.bundle)
    assert bundle.metadata.name == "mobilenetv2-int8"
    assert bundle.metadata.precision is Precision.INT8
    assert bundle.metadata.input.network_size_px == (64, 64)


def test_the_self_test_holds_in_the_runtimes_engine(report):
    bundle = Bundle.open(report.bundle)
    selftest = read_selftest(bundle)
    assert selftest.slices_hu.shape == (2, 1, 128, 128)  # twice the size: the resize computes
    network = OpenVinoEngine(bundle, threads=1).compile(height=128, width=128)
    for slices_hu, expected in zip(selftest.slices_hu, selftest.probabilities, strict=True):
        network.input_hu[:] = slices_hu
        # the same engine on the same machine, and whole HU: no tolerance
        np.testing.assert_array_equal(network.infer().probabilities, expected)


def test_names_every_step_in_order_with_result_and_time(report, steps):
    assert steps == STEPS == [step.name for step in report.steps]
    assert all(step.result and step.seconds >= 0 for step in report.steps)
    assert any(step.cpu_seconds > 0 for step in report.steps)


def test_float_stages_agree_with_torch(report):
    for stages in (report.verdict.parity, report.verdict.full_size):
        for name in ("ONNX", "IR float"):
            # float32 sums in another order
            assert stages[name].max_difference < 1e-4
            assert stages[name].patient_decisions_changed == 0


def test_int8_stages_are_other_networks_but_near_ones(report):
    for name in ("IR int8", "ONNX int8"):
        parity = report.verdict.full_size[name]
        assert 0 < parity.max_difference < 0.1
        assert parity.slice_decisions == 9 * 15


def test_graph_prepares_slices_as_the_cache_was_prepared(report):
    # the patient is in the prepared cohort; half a level of 8 bits is rounding
    assert 0 < report.verdict.preprocessing_difference <= 0.51 / 255


def test_int8_is_smaller_than_float(report):
    size = {path.name: path.stat().st_size for path in report.bundle.iterdir()}
    assert size["model.bin"] < 0.4 * size["model.onnx"]
    assert size["model-int8.onnx"] < 0.4 * size["model.onnx"]


def test_calibration_is_drawn_from_training_patients_only(report):
    data = Bundle.open(report.bundle).metadata.data
    calibrated = set(data.calibration.fingerprints)
    receipt = json.loads((report.bundle / "calibration.json").read_text())
    held_out = {*receipt["disjoint_from"]["validation"], *receipt["disjoint_from"]["test"]}

    assert {patient["fingerprint"] for patient in receipt["patients"]} == calibrated
    assert calibrated
    assert calibrated <= set(data.training.fingerprints)
    assert held_out == {*data.validation.fingerprints, *data.test.fingerprints}
    assert not calibrated & held_out


def test_preprocessing_stays_float_in_the_ir(report):
    model = shared_core().read_model(report.bundle / "model.xml")
    nodes = model.get_ordered_ops()
    names = [node.get_friendly_name() for node in nodes]
    above = {node.get_type_name() for node in nodes[: names.index(RESIZED_IMAGES)]}
    assert "FakeQuantize" not in above
    assert "FakeQuantize" in {node.get_type_name() for node in nodes}


def test_the_answer_is_pooled_in_float(report):
    model = shared_core().read_model(report.bundle / "model.xml")
    types = [node.get_type_name() for node in model.get_ordered_ops()]
    behind = types[len(types) - types[::-1].index("Convolution") :]
    assert {"ReduceMax", "Exp", "Log"} <= set(behind)
    assert "FakeQuantize" not in behind


def test_preprocessing_stays_float_in_the_onnx(report):
    types = [node.op_type for node in onnx.load(report.bundle / "model-int8.onnx").graph.node]
    assert "QuantizeLinear" in types
    assert "QuantizeLinear" not in types[: types.index("Resize")]


@pytest.mark.parametrize("name", ["model.onnx", "model-int8.onnx"])
def test_onnx_files_carry_contract_and_metadata(report, name):
    model = onnx.load(report.bundle / name, load_external_data=False)
    assert [value.name for value in model.graph.input] == ["slices"]
    assert [value.name for value in model.graph.output] == ["probabilities", "evidence"]
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert max(opset.version for opset in model.opset_import if not opset.domain) >= OPSET
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["model_info multilabel"] == "True"
    assert properties["aminet_info channels"] == "cta2"


def test_no_file_names_a_folder_of_this_machine(report):
    for path in report.bundle.iterdir():
        content = path.read_bytes()
        assert b"site-packages" not in content
        assert str(report.bundle.parent).encode() not in content


def test_ir_carries_metadata(report):
    model = shared_core().read_model(report.bundle / "model.xml")
    assert model.get_rt_info(["aminet_info", "approach"]).astype(str) == "mobilenetv2"
    assert model.get_rt_info(["model_info", "labels"]).astype(str).startswith("region_0 region_1")


def test_card_and_receipt_show_the_measured_figures(report):
    card = (report.bundle / "README.md").read_text()
    receipt = json.loads((report.bundle / "parity.json").read_text())
    f1 = report.verdict.metrics[Precision.INT8]["patient"]["f1"]
    drop = report.verdict.drops[Level.PATIENT]

    assert f"| int8 | patient | {f1:.3f} |" in card
    assert f"patient level: F1 {drop.reference:.3f} to {drop.shipped:.3f}" in card
    assert "| AVX2 | 0, bit-identical | 0 | 0 |" in card
    assert "The runtime caps itself at AVX512_CORE_VNNI" in card
    assert "Not a medical device" in card
    assert receipt["accuracy"]["max_drop"] == 0.5
    assert receipt["accuracy"]["drops"]["patient"] == drop.to_json()
    assert "AVX2" in [row["isa"] for row in receipt["instruction_sets"]["rows"]]


def test_the_int8_file_for_onnx_runtime_is_judged_too(report):
    card = (report.bundle / "README.md").read_text()
    receipt = json.loads((report.bundle / "parity.json").read_text())["onnx_int8"]
    judged = report.verdict.onnx_int8
    drop = judged.drops[Level.PATIENT]

    assert judged.is_published
    assert receipt == json.loads(json.dumps(judged.to_json()))  # lists for tuples
    assert receipt["against_ir"]["patient_decisions"] == 5 * 15  # all test patients
    assert f"patient level: {drop}" in card.partition("## INT8 in ONNX Runtime")[2]


@pytest.mark.slow
def test_attention_is_quantised_too(workshop, tmp_path):
    made = workshop.make("former", Approach.EFFICIENTFORMERV2)

    report = export_bundle(made.plan(tmp_path / "efficientformerv2-int8"))

    bundle = Bundle.open(report.bundle)
    assert bundle.metadata.approach.value == "efficientformerv2"
    assert 0 < report.verdict.parity["IR int8"].max_difference < 0.1


def test_two_exports_give_the_same_bytes(simple, tmp_path):
    first, second = (
        export_bundle(simple.plan(tmp_path / name / "bundle", backend=Backend.BOTH)).bundle
        for name in ("first", "second")
    )
    differing = [
        path.name
        for path in first.iterdir()
        if path.read_bytes() != (second / path.name).read_bytes()
    ]
    assert not differing
    assert len(list(first.iterdir())) == len(list(second.iterdir())) == 10


@pytest.fixture(scope="module")
def float_reports(simple, tmp_path_factory):
    folder = tmp_path_factory.mktemp("float")
    return {
        precision: export_bundle(simple.plan(folder / precision, precision=precision))
        for precision in (Precision.FP32, Precision.FP16)
    }


def test_the_card_of_every_precision_shows_the_sweep(report, float_reports):
    for one in (report, *float_reports.values()):
        section = (one.bundle / "README.md").read_text().partition("## The same answer on every")[2]
        swept = one.verdict.swept
        assert sweep_table(swept) in section
        assert {*swept.refused, *(row.isa for row in swept.rows)} == set(available_isas())
        assert all(f"| {isa} | " in section for isa in ISA_FLAGS)


def test_float_precisions_need_no_calibration(float_reports):
    size = {}
    for precision, report in float_reports.items():
        bundle = Bundle.open(report.bundle)
        assert bundle.metadata.precision is precision
        assert bundle.metadata.data.calibration.count == 0
        assert not (report.bundle / "model.onnx").exists()
        assert (report.verdict.drops is None) == (precision is Precision.FP32)
        size[precision] = len(bundle.model_bin)
    assert size[Precision.FP16] < 0.55 * size[Precision.FP32]
