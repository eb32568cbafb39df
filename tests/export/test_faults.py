# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong, and whenever: a clear error, nothing half-written, the old bundle intact."""

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aminet_export import openvino_ir, pipeline
from aminet_export.pipeline import export_bundle
from aminet_export.plan import Listeners
from aminet_export.source import load_source
from aminet_runtime.errors import (
    InputInconsistent,
    InputMissing,
    ModelIncompatible,
    ModelInvalid,
    OutputExists,
    OutputNotWritable,
)
from aminet_train.checkpoint import load_info
from aminet_train.cohort.prepare import prepare_cohort
from aminet_train.cohort.prepare_patient import PreparePlan
from aminet_train.cohort.splits import Split, all_in, read_splits, write_splits
from aminet_train.preprocessing import PreprocessingConfig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside torch.onnx and nncf


@pytest.fixture
def splits(simple):
    """Give the splits back as they were."""
    before = read_splits(simple.data)
    yield before
    write_splits(simple.data, before)


def open_source(made):
    return load_source(made.checkpoint, (made.data,), on_progress=lambda _done, _total: None)


def test_a_failure_names_its_step_and_leaves_nothing(simple, tmp_path):
    plan = simple.plan(tmp_path / "out" / "bundle", checkpoint=tmp_path / "absent")

    with pytest.raises(ModelInvalid, match="step 'load checkpoint': not a checkpoint"):
        export_bundle(plan)

    assert list((tmp_path / "out").iterdir()) == []


def test_an_existing_bundle_stays_as_it_is(simple, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.xml").write_text("old")

    with pytest.raises(OutputExists):
        export_bundle(simple.plan(tmp_path / "bundle"))

    assert [path.read_text() for path in (tmp_path / "bundle").iterdir()] == ["old"]


def test_a_full_disk_is_said_and_leaves_nothing(simple, tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(OutputNotWritable, match="step 'ONNX': there is no space left"):
        export_bundle(simple.plan(tmp_path / "bundle"))

    assert list(tmp_path.iterdir()) == []


def test_an_ir_that_is_cut_short_is_said(tmp_path, monkeypatch):
    def cut(_model, path, **_options):
        Path(path).write_text("<net")
        Path(path).with_suffix(".bin").write_bytes(b"")

    monkeypatch.setattr(openvino_ir, "name_alike", lambda _model: None)
    monkeypatch.setattr(openvino_ir.ov, "save_model", cut)

    with pytest.raises(OutputNotWritable, match="could not be written whole"):
        openvino_ir.save(None, tmp_path, openvino_ir.Precision.FP32)


def test_a_disk_that_fills_in_another_tool_is_said(simple, tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pipeline, "trace", refuse)

    with pytest.raises(OutputNotWritable, match="step 'trace': there is no space left"):
        export_bundle(simple.plan(tmp_path / "bundle"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["load checkpoint", "ONNX", "calibrate and quantise"])
def test_an_interrupt_leaves_nothing(simple, tmp_path, step):
    def interrupt(report):
        if report.name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_bundle(simple.plan(tmp_path / "bundle"), Listeners(on_step=interrupt))

    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_publishes_nothing_and_the_next_one_tidies_up(simple, tmp_path):
    command = [sys.executable, "-c", "from aminet_export.cli import main; main()"]
    command += ["--checkpoint", str(simple.checkpoint), "--data", str(simple.data)]
    command += ["--int8", "-o", str(tmp_path / "bundle")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as export:
        while not any(tmp_path.glob(".bundle.*/model.onnx")):
            assert export.poll() is None, export.stderr.read()
            time.sleep(0.05)
        export.send_signal(signal.SIGKILL)
    assert not (tmp_path / "bundle").exists()
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]

    absent = simple.plan(tmp_path / "bundle", checkpoint=tmp_path / "absent")
    with pytest.raises(ModelInvalid):
        export_bundle(absent)

    assert list(tmp_path.iterdir()) == []


def test_needs_patients_of_all_three_splits(simple, splits):
    write_splits(simple.data, all_in(Split.TRAIN, splits[Split.TRAIN]))

    with pytest.raises(InputMissing, match="there are no validation and no test patients"):
        open_source(simple)


def test_needs_all_slices_of_held_out_patients(simple, splits):
    folder = simple.data / "patients" / splits[Split.TEST][0]
    kept = np.load(folder / "kept.npy")
    np.save(folder / "kept.npy", kept[:4])
    try:
        with pytest.raises(InputInconsistent, match="was prepared with some slices only"):
            open_source(simple)
    finally:
        np.save(folder / "kept.npy", kept)


def test_refuses_data_that_was_prepared_for_another_network(simple, workshop, tmp_path):
    config = PreprocessingConfig.from_preset("cta", size_px=(32, 32))
    prepare_cohort(workshop.root / "cohort", PreparePlan(tmp_path / "other", config), seed=0)

    with pytest.raises(ModelIncompatible, match="prepared with other channels, windows or sizes"):
        load_source(simple.checkpoint, (tmp_path / "other",), on_progress=lambda _d, _t: None)


def test_a_cohort_that_is_named_twice_counts_once(simple, monkeypatch):
    monkeypatch.chdir(simple.data.parent)
    data = (simple.data, simple.data.relative_to(simple.root))

    source = load_source(simple.checkpoint, data, on_progress=lambda _done, _total: None)

    once = open_source(simple)
    for split in Split:
        assert len(source.patients[split]) == len(once.patients[split])


def test_refuses_splits_by_slice(simple, monkeypatch):
    info = replace(load_info(simple.checkpoint), leaking=True)
    monkeypatch.setattr("aminet_export.source.load_model", lambda _folder: (info, None))

    with pytest.raises(InputInconsistent, match="on both sides of the splits"):
        open_source(simple)


def test_refuses_test_patients_that_the_network_was_trained_on(simple, monkeypatch):
    learned = open_source(simple).patients[Split.TEST][0]
    info = load_info(simple.checkpoint)
    training = {"data": {"train": {"count": 1, "fingerprints": [learned.fingerprint]}}}
    monkeypatch.setattr(
        "aminet_export.source.load_model",
        lambda _folder: (replace(info, training=training), None),
    )
    with pytest.raises(InputInconsistent, match=f"trained on test patient {learned.patient_id}"):
        open_source(simple)
