# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aminet_export.calibration import (
    HEIGHT_BANDS,
    CalibrationSlice,
    calibration_hu,
    choose_calibration,
    describe,
    require_training_only,
)
from aminet_runtime.errors import InputDamaged, InputInconsistent, InputMissing
from aminet_train.cohort.prepared_patient import PatientTruth, PreparedPatient, ScanInfo
from aminet_train.cohort.splits import Split
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig
from aminet_train.slice_window import SINGLE_SLICE, SliceWindow

SLICES = 24


def patient(folder: Path, name: str, *, regions=()) -> PreparedPatient:
    """Prepare a patient with one slice of clot for each region, all in the upper half."""
    folder = folder / name
    folder.mkdir()
    labels = np.zeros((SLICES, 15), np.uint8)
    for place, region in enumerate(regions):
        labels[SLICES // 2 + place, region] = 1
    images = np.random.default_rng(len(name)).integers(0, 256, (SLICES, 1, 8, 8), np.uint8)
    np.save(folder / "images.npy", images)
    return PreparedPatient(
        patient_id=name,
        folder=folder,
        kept=np.arange(SLICES, dtype=np.int32),
        truth=PatientTruth(labels, np.zeros((SLICES, 14, 14), np.uint16)),
        scan=ScanInfo((8, 8, SLICES), (1.0, 1.0, 1.0), f"{name}-scan"),
        slices=np.arange(SLICES, dtype=np.int32),
    )


@pytest.fixture
def patients(tmp_path):
    return [
        patient(tmp_path, "a", regions=(3, 7)),
        patient(tmp_path, "bb", regions=(7,)),
        patient(tmp_path, "ccc"),
    ]


def test_draws_no_slice_twice(patients):
    chosen = choose_calibration(patients, SINGLE_SLICE, count=40)

    assert len({(c.patient.patient_id, c.index) for c in chosen}) == len(chosen) == 40


def test_takes_all_slices_where_there_are_fewer_than_wanted(patients):
    assert len(choose_calibration(patients, SINGLE_SLICE, count=1000)) == 3 * SLICES


def test_spreads_over_patients_and_heights(patients):
    chosen = choose_calibration(patients, SINGLE_SLICE, count=36)

    by_patient = Counter(c.patient.patient_id for c in chosen)
    by_band = Counter(c.index * HEIGHT_BANDS // SLICES for c in chosen)
    assert min(by_patient.values()) >= 10
    assert min(by_band.values()) >= 5


def test_takes_every_region_that_there_is(patients):
    chosen = choose_calibration(patients, SINGLE_SLICE, count=12)

    seen = {r for c in chosen for r in np.flatnonzero(c.patient.truth.labels[c.index]).tolist()}
    assert seen == {3, 7}


def test_takes_only_slices_whose_neighbours_are_cached(patients):
    kept = np.array([0, 1, 2, 9, 20], np.int32)
    sparse = replace(patients[0], kept=kept)

    chosen = choose_calibration([sparse], SliceWindow(size=3))

    assert sorted(c.index for c in chosen) == [0, 1]  # the last slice repeats beyond the end


def test_same_seed_draws_the_same_slices(patients):
    def places(seed):
        chosen = choose_calibration(patients, SINGLE_SLICE, count=20, seed=seed)
        return [(c.patient.patient_id, c.index) for c in chosen]

    assert places(1) == places(1)
    assert places(1) != places(2)


@pytest.mark.parametrize("count", [0, 5])
def test_refuses_to_calibrate_on_nothing(patients, count):
    with pytest.raises(InputMissing, match="no training slices to calibrate on"):
        choose_calibration([] if count else patients, SINGLE_SLICE, count=count)


@pytest.mark.parametrize("split", [Split.VALIDATION, Split.TEST])
def test_refuses_held_out_patients(patients, split):
    held_out = {Split.VALIDATION: [], Split.TEST: [], split: [patients[1]]}
    chosen = [CalibrationSlice(p, 0) for p in patients]

    with pytest.raises(InputInconsistent, match=f"bb calibrates, but is a {split} patient"):
        require_training_only(chosen, held_out)


def test_finds_a_held_out_scan_under_another_name(patients, tmp_path):
    renamed = patient(tmp_path, "dddd")
    held_out = {
        Split.VALIDATION: [],
        Split.TEST: [replace(renamed, scan=patients[0].scan)],
    }
    with pytest.raises(InputInconsistent, match="a calibrates"):
        require_training_only([CalibrationSlice(patients[0], 0)], held_out)


def test_refuses_slices_that_are_not_finite(patients):
    images = np.full((SLICES, 1, 8, 8), np.nan, np.float32)
    np.save(patients[0].folder / "images.npy", images)
    preprocessing = Preprocessing(PreprocessingConfig.from_preset("cta", size_px=(8, 8)))

    with pytest.raises(InputDamaged, match="slice 4 of a holds values that are not finite"):
        calibration_hu(CalibrationSlice(patients[0], 4), preprocessing)


def test_receipt_names_slices_and_what_they_are_disjoint_from(patients):
    held_out = {Split.VALIDATION: [patients[1]], Split.TEST: [patients[2]]}
    chosen = [CalibrationSlice(patients[0], number) for number in (5, 2)]

    receipt = describe(chosen, held_out, seed=3)

    assert receipt["count"] == 2
    assert receipt["seed"] == 3
    (calibrated,) = receipt["patients"]
    assert calibrated["fingerprint"] == "a-scan"
    assert [entry["index"] for entry in calibrated["slices"]] == [2, 5]
    assert len({entry["sha256"] for entry in calibrated["slices"]}) == 2
    assert receipt["disjoint_from"] == {"validation": ["bb-scan"], "test": ["ccc-scan"]}
