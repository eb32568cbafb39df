# SPDX-License-Identifier: Apache-2.0
"""OpenVINO behind the protocol: its answers are right, its errors are ours, its settings hold."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from aminet_runtime.bundle import Bundle
from aminet_runtime.engines import openvino_import
from aminet_runtime.engines.openvino import OpenVinoEngine, OpenVinoNetwork
from aminet_runtime.engines.openvino_import import import_openvino
from aminet_runtime.engines.saturation import EXACT_SUM
from aminet_runtime.errors import ModelIncompatible, ModelInvalid
from aminet_runtime.patient import Channel
from aminet_runtime.threads import available_threads

SUM_IN_FLOAT32 = 2e-6
"""Averages of 60 x 4 float32 values between 0 and 1: some units in the last place."""


@pytest.fixture
def bundle(bundle_path) -> Bundle:
    return Bundle.open(bundle_path)


@pytest.fixture
def network(bundle) -> OpenVinoNetwork:
    return OpenVinoEngine(bundle, threads=1).compile(height=60, width=60)


def in_fresh_process(code, **environment):
    """Run code in an interpreter of its own, since oneDNN reads its variables once a process."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ONEDNN")}
    clean["PYTHONPATH"] = os.pathsep.join(sys.path)
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**clean, **environment},
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_answers_what_the_network_was_built_to_answer(network, make_head, expected_probabilities):
    for plane in make_head(affected=(3, 9)).astype(np.float32):
        network.input_hu[:] = plane

        answer = network.infer()

        expected = expected_probabilities(plane[np.newaxis])
        np.testing.assert_allclose(answer.probabilities, expected, atol=SUM_IN_FLOAT32)
        assert answer.evidence.shape == (15, 4, 4)


def test_answer_does_not_change_with_the_next_slice(network):
    network.input_hu[:] = 400.0
    first = network.infer()
    network.input_hu[:] = 0.0
    network.infer()

    assert (first.probabilities == 1.0).all()
    assert (first.evidence == 1.0).all()


def test_answer_is_the_same_with_one_and_two_threads(bundle, make_head):
    plane = make_head(affected=(3,)).astype(np.float32)[6]
    answers = []
    for threads in (1, 2):
        network = OpenVinoEngine(bundle, threads=threads).compile(height=60, width=60)
        network.input_hu[:] = plane
        answers.append(network.infer())

    assert np.array_equal(answers[0].probabilities, answers[1].probabilities)
    assert np.array_equal(answers[0].evidence, answers[1].evidence)


def test_settings_are_those_that_were_asked_for(bundle):
    threads = min(2, available_threads())
    settings = OpenVinoEngine(bundle, threads=threads).compile(height=60, width=60).settings

    assert settings["PERFORMANCE_HINT"] == "LATENCY"
    assert settings["NUM_STREAMS"] == "1"
    assert settings["INFERENCE_NUM_THREADS"] == str(threads)
    assert "float32" in settings["INFERENCE_PRECISION_HINT"]
    assert settings["ENABLE_CPU_PINNING"] == "False"


def test_compiles_for_several_sizes_of_one_network(bundle):
    engine = OpenVinoEngine(bundle, threads=1)

    shapes = [engine.compile(height=h, width=w).input_hu.shape for h, w in ((60, 60), (90, 45))]

    assert shapes == [(1, 60, 60), (1, 90, 45)]


@pytest.mark.parametrize("xml", [b"", b"garbage", b"<?xml version='1.0'?><net/>"])
def test_network_that_cannot_be_parsed_is_invalid(bundle, xml):
    with pytest.raises(ModelInvalid, match="OpenVINO cannot read the network") as caught:
        OpenVinoEngine(replace(bundle, model_xml=xml), threads=1)

    assert caught.value.path.name == "model.xml"


def test_weights_that_are_too_short_are_invalid(bundle):
    with pytest.raises(ModelInvalid, match="weights"):
        OpenVinoEngine(replace(bundle, model_bin=b""), threads=1)


def test_network_for_other_channels_than_the_metadata_is_invalid(bundle):
    contract = replace(
        bundle.metadata.input,
        channels=(Channel.CTA1, Channel.CTA2),
        window_hu=((0.0, 1.0), (0.0, 1.0)),
    )
    metadata = replace(bundle.metadata, input=contract)

    with pytest.raises(ModelInvalid, match="do not belong together"):
        OpenVinoEngine(replace(bundle, metadata=metadata), threads=1)


def tiny_network(tmp_path, bundle, *, regions=15, name="probabilities", offset=0.0, dtype="f32"):
    """Build a network that breaks the contract in one point."""
    openvino = import_openvino()
    from openvino import opset13 as ops  # noqa: PLC0415 - after the import above

    slices = ops.parameter([-1, 1, -1, -1], getattr(openvino.Type, dtype), name="slices")
    pooled = ops.adaptive_avg_pool(ops.convert(slices, np.float32), np.array([1, regions]))
    flat = ops.reshape(pooled, np.array([0, regions]), special_zero=True)
    probabilities = ops.add(flat, np.float32(offset))
    evidence = ops.reshape(probabilities, np.array([0, regions, 1, 1]), special_zero=True)
    named = ((slices, "slices"), (probabilities, name), (evidence, "evidence"))
    for node, port in named:
        node.output(0).set_names({port})
    model = openvino.Model([probabilities, evidence], [slices], "tiny")
    openvino.save_model(model, tmp_path / "tiny.xml", compress_to_fp16=False)
    xml, weights = (tmp_path / "tiny.xml").read_bytes(), (tmp_path / "tiny.bin").read_bytes()
    return replace(bundle, model_xml=xml, model_bin=weights)


@pytest.mark.parametrize(
    "breach", [{"regions": 14}, {"name": "scores"}, {"dtype": "i16"}], ids=["14", "name", "i16"]
)
def test_network_that_breaks_the_contract_is_invalid(tmp_path, bundle, breach):
    with pytest.raises(ModelInvalid, match="the network has"):
        OpenVinoEngine(tiny_network(tmp_path, bundle, **breach), threads=1)


def test_network_of_the_contract_is_taken(tmp_path, bundle):
    network = OpenVinoEngine(tiny_network(tmp_path, bundle), threads=1).compile(height=8, width=30)
    network.input_hu[:] = 0.25

    assert network.infer().probabilities == pytest.approx([0.25] * 15)


@pytest.mark.parametrize("offset", [2.0, -1.0, float("nan"), float("inf")])
def test_answer_that_is_no_probability_is_an_error(tmp_path, bundle, offset):
    bad = tiny_network(tmp_path, bundle, offset=offset)
    network = OpenVinoEngine(bad, threads=1).compile(height=8, width=30)
    network.input_hu[:] = 0.5

    with pytest.raises(ModelInvalid, match="no probability"):
        network.infer()


class Refusing:
    """An OpenVINO core or model that fails in its own way."""

    def reshape(self, _shape):
        raise RuntimeError("Check failed at convolution.hpp:1\n\nchannel count does not match\n")

    def compile_model(self, *_arguments):
        raise RuntimeError("Exception from src/plugin.cpp:54:\nbad combination\n\n")


def test_slices_that_the_network_cannot_take_are_named(bundle, monkeypatch):
    engine = OpenVinoEngine(bundle, threads=1)
    monkeypatch.setattr(engine, "_model", type("Model", (), {"clone": Refusing})())

    with pytest.raises(ModelInvalid, match=r"512 x 256 pixels \(channel count does not match\)"):
        engine.compile(height=256, width=512)


def test_cpu_that_cannot_run_the_network_is_named(bundle, monkeypatch):
    engine = OpenVinoEngine(bundle, threads=1)
    monkeypatch.setattr(engine, "_core", Refusing())

    with pytest.raises(ModelIncompatible, match=r"\(bad combination\).*AVX2") as caught:
        engine.compile(height=60, width=60)

    assert caught.value.exit_code == 22


def test_other_precision_than_float32_is_refused(bundle, monkeypatch):
    engine = OpenVinoEngine(bundle, threads=1)
    monkeypatch.setattr(engine, "_hints", lambda: {"INFERENCE_PRECISION_HINT": "bf16"})
    reads = "aminet_runtime.engines.openvino.str"
    monkeypatch.setattr(reads, lambda _: "<Type: 'bfloat16'>", raising=False)

    with pytest.raises(ModelIncompatible, match="bfloat16"):
        engine.compile(height=60, width=60)


def test_missing_openvino_is_incompatible(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(ModelIncompatible, match="OpenVINO cannot be loaded"):
        import_openvino()


@pytest.mark.parametrize("before", [None, ""], ids=["not set", "set to nothing"])
def test_instruction_set_is_capped_where_the_user_has_not_chosen(monkeypatch, before):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if before is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", before)
    import_openvino()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_VNNI"
    assert openvino_import.is_isa_capped()


def test_instruction_set_is_what_the_user_has_chosen(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    import_openvino()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_AMX"
    assert not openvino_import.is_isa_capped()


PRINT_CANARY = "from aminet_runtime.engines.saturation import int8_sum; print(int8_sum())"


@pytest.mark.parametrize(
    ("instruction_set", "expected"), [("AVX2", 1048544), ("AVX512_CORE_VNNI", EXACT_SUM)]
)
def test_canary_tells_saturating_sums_from_exact_ones(instruction_set, expected):
    from aminet_runtime.cpu import instruction_sets  # noqa: PLC0415

    if instruction_set == "AVX512_CORE_VNNI" and "VNNI" not in instruction_sets():
        pytest.skip("this CPU has no VNNI")

    found = int(in_fresh_process(PRINT_CANARY, ONEDNN_MAX_CPU_ISA=instruction_set))

    assert found == expected


def test_cap_also_holds_in_a_host_that_has_imported_openvino():
    """The variable is read when the first network is compiled, not when OpenVINO is imported."""
    code = f"import openvino, os; os.environ['ONEDNN_MAX_CPU_ISA'] = 'AVX2'; {PRINT_CANARY}"

    assert int(in_fresh_process(code)) == 1048544


def test_import_leaves_telemetry_out():
    code = (
        "import sys; from aminet_runtime.engines.openvino_import import import_openvino;"
        "import_openvino(); print([m for m in sys.modules if 'openvino_telemetry' in m"
        " and sys.modules[m] is not None])"
    )

    assert in_fresh_process(code) == "[]"


def test_host_keeps_the_model_converter():
    code = (
        "from aminet_runtime.engines.openvino_import import import_openvino;"
        "print(hasattr(import_openvino(), 'convert_model'))"
    )

    assert in_fresh_process(code) == "True"


def test_command_leaves_the_model_converter_out():
    code = (
        "from aminet_runtime.engines import openvino_import as i; i.skip_model_converter();"
        "print(hasattr(i.import_openvino(), 'convert_model'))"
    )

    assert in_fresh_process(code) == "False"


def test_signal_after_sessions_that_were_closed_in_turn_is_no_crash(bundle_path):
    """OpenVINO frees signal stacks in the wrong order when cores come and go."""
    code = f"""
import gc, signal
import numpy as np
from aminet_runtime import Session

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
sessions = [Session.open({str(bundle_path)!r}, threads=1) for _ in range(2)]
for session in sessions:
    session.answer(np.zeros((1, 60, 60), np.float32))
session = None
while sessions:
    sessions.pop(0).close()
    gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""

    assert in_fresh_process(code) == "interrupted"


def test_threads_that_ask_together_get_one_core(monkeypatch):
    made = []

    def make_core():
        time.sleep(0.05)  # long enough for every thread to ask meanwhile
        made.append(object())
        return made[-1]

    monkeypatch.setattr(openvino_import, "_first_core", cache(make_core))
    with ThreadPoolExecutor(4) as pool:
        cores = list(pool.map(lambda _: openvino_import.shared_core(), range(4)))

    assert len(made) == 1
    assert set(cores) == set(made)
