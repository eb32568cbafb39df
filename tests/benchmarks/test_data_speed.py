# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.data_speed import LoaderSpeed, prepare_speed
from aminet_benchmarks.phantom.cli import main as phantom_main
from aminet_train.preprocessing import PreprocessingConfig


@pytest.fixture
def patient(write_patient, make_nifti, make_head):
    folder = write_patient()
    for name in ("ATLASMASKregA", "p_clot"):
        (folder / f"{name}.nii").write_bytes(make_nifti(np.zeros(make_head().shape, np.uint8)))
    return folder


def test_preparation_takes_longer_than_its_gunzip(patient):
    config = PreprocessingConfig.from_preset("cta", size_px=(56, 56))
    speed = prepare_speed(patient, config, rounds=1)
    assert 0 < speed.gunzip < speed.prepare


def test_headroom_is_over_the_fastest_network_in_training():
    speed = LoaderSpeed(1000.0, training={"slow": 10.0, "fast": 100.0}, scoring={})
    assert speed.headroom == 10


def test_measures_the_loader_beside_every_network_that_is_trained(tmp_path, capsys):
    cohort = tmp_path / "prepared"
    size = ("--shape", "64", "64", "36", "--size", "64", "--jobs", "1", "-q")
    assert phantom_main(["prepare", str(cohort), *size]) == 0
    capsys.readouterr()

    assert main(["data", "--prepared", str(cohort), "--rounds", "1", "--json"]) == 0

    speed = json.loads(capsys.readouterr().out)["slices_per_second"]
    assert set(speed["training"]) == {"simple_cnn", "mobilenetv2", "efficientformerv2"}
    assert speed["headroom"] == speed["loader"] / max(speed["training"].values())


def test_says_what_it_needs(capsys):
    assert main(["data"]) == 2
    assert "give --prepared, --patient or both" in capsys.readouterr().err
