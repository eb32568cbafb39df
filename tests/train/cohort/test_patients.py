# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest

from aminet_runtime.errors import InputDamaged, InputInconsistent
from aminet_train.cohort.patients import gather_patients
from aminet_train.cohort.prepared import (
    PATIENT_FILE,
    PATIENTS_FOLDER,
    write_cohort_file,
    write_patient_arrays,
)
from aminet_train.cohort.prepared_patient import CELL_GRID, PatientTruth, ScanInfo
from aminet_train.cohort.splits import Split, all_in, split_slices, write_splits

COUNT = 50


@pytest.fixture
def write_cohort(tmp_path, preprocessing_config, regions):
    """Write a prepared cohort of some patients and return its folder."""

    def write(name: str, splits, *, group: str | None = None, fingerprint: str = "") -> Path:
        root = tmp_path / name
        write_cohort_file(root, preprocessing_config, regions)
        for patient_id in sorted({n for split in Split for n in splits[split]}):
            folder = root / PATIENTS_FOLDER / patient_id
            folder.mkdir(parents=True)
            cells = np.zeros((COUNT, *CELL_GRID), np.uint16)
            write_patient_arrays(
                folder,
                np.zeros((COUNT, 1, 4, 4), np.uint8),
                np.arange(COUNT, dtype=np.int32),
                truth=PatientTruth(np.zeros((COUNT, 15), np.uint8), cells),
                scan=ScanInfo((4, 4, COUNT), (1.0, 1.0, 1.0), fingerprint or patient_id, group),
            )
        write_splits(root, splits)
        return root

    return write


def test_by_patient_everybody_brings_all_of_his_slices(write_cohort):
    cohort, patients = gather_patients([write_cohort("a", all_in(Split.TEST, ["p"]))])
    assert not cohort.leaking
    assert patients[Split.TEST][0].slices.tolist() == list(range(COUNT))
    assert patients[Split.TRAIN] == []


def test_by_slice_everybody_brings_the_slices_of_the_split(write_cohort):
    cohort, patients = gather_patients([write_cohort("a", split_slices(["p", "q"], seed=1))])
    assert cohort.leaking
    parts = [patients[split][1].slices for split in Split]
    assert [len(part) for part in parts] == [32, 8, 10]
    assert sorted(np.concatenate(parts).tolist()) == list(range(COUNT))


def test_refuses_one_group_on_two_sides_of_two_cohorts(write_cohort):
    roots = [
        write_cohort("a", all_in(Split.TRAIN, ["p"]), group="tree 7"),
        write_cohort("b", all_in(Split.TEST, ["q"]), group="tree 7"),
    ]
    with pytest.raises(InputInconsistent, match="are of one group"):
        gather_patients(roots)


def test_refuses_one_scan_on_two_sides_of_two_cohorts(write_cohort):
    roots = [
        write_cohort("a", all_in(Split.TRAIN, ["p"]), fingerprint="f"),
        write_cohort("b", all_in(Split.TEST, ["q"]), fingerprint="f"),
    ]
    with pytest.raises(InputInconsistent, match="are the same scan"):
        gather_patients(roots)


def test_refuses_two_patients_of_one_name_in_one_split(write_cohort):
    roots = [
        write_cohort("a", all_in(Split.TRAIN, ["p"]), fingerprint="f"),
        write_cohort("b", all_in(Split.TRAIN, ["p"]), fingerprint="g"),
        write_cohort("c", all_in(Split.TEST, ["q"]), fingerprint="f"),  # hidden by the second p
    ]
    with pytest.raises(InputInconsistent, match="p is twice among the train patients; name a coh"):
        gather_patients(roots)


@pytest.mark.parametrize("splits", [all_in(Split.TEST, ["p"]), split_slices(["p"], seed=0)])
def test_refuses_a_cohort_that_is_named_twice(write_cohort, splits):
    root = write_cohort("a", splits)
    with pytest.raises(InputInconsistent, match="p is twice among the"):
        gather_patients([root, root])


def test_takes_one_name_in_two_splits_if_the_scans_are_two(write_cohort):
    roots = [
        write_cohort("a", all_in(Split.TRAIN, ["p"]), fingerprint="f"),
        write_cohort("b", all_in(Split.TEST, ["p"]), fingerprint="g"),
    ]
    _cohort, patients = gather_patients(roots)
    assert [len(patients[split]) for split in Split] == [1, 0, 1]


def test_refuses_to_mix_splits_by_patient_and_by_slice(write_cohort):
    roots = [
        write_cohort("a", all_in(Split.TRAIN, ["p"])),
        write_cohort("b", split_slices(["q"], seed=0)),
    ]
    with pytest.raises(InputInconsistent, match="another by slice"):
        gather_patients(roots)


def test_names_what_a_patient_prepared_by_another_version_does_not_say(write_cohort):
    root = write_cohort("a", all_in(Split.TEST, ["p"]))
    path = root / PATIENTS_FOLDER / "p" / PATIENT_FILE
    about = json.loads(path.read_text())
    del about["group"]
    path.write_text(json.dumps(about))

    with pytest.raises(InputDamaged, match="says nothing about 'group'"):
        gather_patients([root])
