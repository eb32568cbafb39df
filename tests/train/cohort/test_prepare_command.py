# SPDX-License-Identifier: Apache-2.0
import errno
import gzip
import json

import numpy as np
import pytest

from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.commands.cache_options import CHANNELS, hu_windows
from aminet_train.commands.prepare import main
from aminet_train.preprocessing import CHANNEL_PRESETS


@pytest.fixture
def cohort(write_patient, make_nifti, make_head):
    """Three patients, each with an atlas and a clot on slice 4."""
    shape = make_head().shape
    for number in range(3):
        folder = write_patient(f"p{number}", affected=(number + 5,))
        clot = np.zeros(shape, np.uint8)
        clot[4, 30, 30] = 1
        for name, values in (("ATLASMASKregA", np.full(shape, 3, np.uint8)), ("p_clot", clot)):
            packed = gzip.compress(make_nifti(values), compresslevel=1)
            (folder / f"{name}.nii.gz").write_bytes(packed)
    return folder.parent


def run(cohort, tmp_path, *options: str) -> int:
    arguments = [str(cohort), "-o", str(tmp_path / "prepared"), "--size", "56", "--jobs", "1"]
    return main([*arguments, *options])


def test_prints_a_summary_and_names_the_report(cohort, tmp_path, capsys):
    assert run(cohort, tmp_path) == 0
    printed = capsys.readouterr().out
    assert "patients   3 used, 0 refused" in printed
    assert "splits     2 train, 0 validation, 1 test (by patient, seed 0)" in printed
    assert str(tmp_path / "prepared" / "report.html") in printed


def test_a_full_disk_ends_it_with_30(cohort, tmp_path, capsys, monkeypatch):
    def save_nothing(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", save_nothing)
    assert run(cohort, tmp_path) == 30
    assert "error[E3002]: p0: there is no space left; free some" in capsys.readouterr().err
    assert list((tmp_path / "prepared" / "patients").iterdir()) == []


def test_prints_the_report_as_json(cohort, tmp_path, capsys):
    assert run(cohort, tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["patients"]["used"] == 3


def test_several_hu_windows_are_several_views(cohort, tmp_path):
    assert run(cohort, tmp_path, "--hu-windows=-100:500,0:100") == 0
    patient = PreparedCohort.open(tmp_path / "prepared").patient("p1")
    assert patient.images().shape == (12, 2, 56, 56)


def test_keeps_the_neighbours_that_a_window_needs(cohort, tmp_path):
    assert run(cohort, tmp_path, "--negatives", "0", "--window", "3") == 0
    stored = [
        p.kept.tolist()
        for p in map(PreparedCohort.open(tmp_path / "prepared").patient, ["p0", "p1", "p2"])
    ]
    assert sorted(stored, key=len) == [[3, 4, 5], [3, 4, 5], list(range(12))]


def test_keeps_some_of_the_slices_with_clot_of_training_patients(cohort, tmp_path):
    assert run(cohort, tmp_path, "--negatives", "2", "--positives", "0") == 0
    patients = map(PreparedCohort.open(tmp_path / "prepared").patient, ["p0", "p1", "p2"])
    assert sorted(len(patient.kept) for patient in patients) == [2, 2, 12]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "--jobs 0 is below 1"),
        (["--window", "3"], "all slices are kept"),
        (["--positives", "3"], "add --negatives"),
        (["--split-by", "slice", "--negatives", "3"], "--negatives drops slices"),
        (["--seed", "-1"], "--seed -1 is below 0"),
    ],
)
def test_refuses_options_that_cannot_be_meant(cohort, tmp_path, capsys, options, message):
    assert run(cohort, tmp_path, *options) == 2
    assert message in capsys.readouterr().err


def test_refuses_to_write_into_the_cohort(cohort, capsys):
    assert main([str(cohort), "-o", str(cohort / "prepared")]) == 2
    assert "PREPARED lies inside of COHORT" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1", "1:2:3", "a:b", "5:5", "1:2,"])
def test_refuses_hu_windows_of_another_form(text):
    with pytest.raises(Exception, match=r"LOW"):
        hu_windows(text)


def test_help_names_every_channel_preset():
    assert set(CHANNELS) == set(CHANNEL_PRESETS)


def test_a_frame_leaves_out_a_margin(cohort, tmp_path):
    assert main([str(cohort), "-o", str(tmp_path), "--size", "48x40", "--frame", "56"]) == 0
    prepared = PreparedCohort.open(tmp_path)
    assert prepared.preprocessing.margin_px == (4, 8)
    assert prepared.patient("p1").images().shape == (12, 1, 48, 40)


@pytest.mark.parametrize("frame", ["52", "32"])
def test_a_frame_that_does_not_fit_around_the_size_is_refused(cohort, tmp_path, capsys, frame):
    assert main([str(cohort), "-o", str(tmp_path), "--size", "48x40", "--frame", frame]) == 2
    assert "add a multiple of 8 to both edges of --size" in capsys.readouterr().err
