# SPDX-License-Identifier: Apache-2.0
import contextlib
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from aminet_runtime.errors import InputInconsistent, InputMissing, InputUnsupported
from aminet_train.prepare import (
    PreparePlan,
    choose_slices,
    guard_against_leaks,
    prepare_cohort,
)
from aminet_train.prepared import PreparedCohort
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig
from aminet_train.splits import Split, Splits, read_splits

SHAPE = (64, 48, 6)  # stored i, j, k
LPS = np.diag([-0.5, -0.5, 0.6, 1.0])


def write_patient(folder: Path, seed: int, *, with_atlas: bool = True) -> None:
    folder.mkdir(parents=True)
    hu = np.random.default_rng(seed).integers(-1000, 800, SHAPE).astype(np.int16)
    atlas = np.zeros(SHAPE, np.int16)
    atlas[32:] = 5
    clot = np.zeros(SHAPE, np.int16)
    clot[40, 10, 2] = 1
    clot[10, 20, 3] = 2
    clot[33, 40, 3] = 1
    volumes = {"CTA2regA.nii.gz": hu, f"{folder.name}_clot.nii.gz": clot}
    if with_atlas:
        volumes["ATLASMASKregA.nii.gz"] = atlas
    for name, values in volumes.items():
        nibabel.save(nibabel.Nifti1Image(values, LPS), folder / name)


@pytest.fixture
def plan(tmp_path) -> PreparePlan:
    config = PreprocessingConfig.from_preset("cta", size_px=(56, 56))
    return PreparePlan(tmp_path / "prepared", config)


@pytest.fixture
def cohort(tmp_path) -> Path:
    for number in range(5):
        write_patient(tmp_path / "cohort" / f"p{number}", number)
    return tmp_path / "cohort"


def test_labels_are_those_of_the_voxels_that_were_set(cohort, plan):
    assert prepare_cohort(cohort, plan, seed=0) == []
    truth = PreparedCohort.open(plan.root).patient("p0").truth
    expected = np.zeros((6, 15), np.uint8)
    expected[2, 5] = expected[3, 0] = expected[3, 5] = 1
    np.testing.assert_array_equal(truth.labels, expected)


def test_cells_are_where_the_voxels_are(cohort, plan):
    prepare_cohort(cohort, plan, seed=0)
    cells = PreparedCohort.open(plan.root).patient("p0").truth.clot_cells
    expected = np.zeros((6, 14, 14), np.uint16)
    # row = j * 14 // 48, column = i * 14 // 64
    expected[2, 2, 8] = 1 << 5
    expected[3, 5, 2] = 1 << 0
    expected[3, 11, 7] = 1 << 5
    np.testing.assert_array_equal(cells, expected)


def test_cache_equals_the_preprocessing_of_the_graph(cohort, plan):
    prepare_cohort(cohort, plan, seed=0)
    image = nibabel.load(cohort / "p1" / "CTA2regA.nii.gz").get_fdata()[:, :, 4].T
    hu = torch.from_numpy(image.astype(np.float32))[None, None]
    expected = Preprocessing(plan.preprocessing)(hu)[0].numpy()
    cached = PreparedCohort.open(plan.root).patient("p1").images()[4] / 255
    # half a level of the 8 bits that the cache stores
    np.testing.assert_allclose(cached, expected, atol=0.5 / 255 + 1e-6)


def test_goes_on_where_it_stopped_and_deals_the_same_splits(cohort, plan):
    prepare_cohort(cohort, plan, seed=0)
    first = plan.root / "patients" / "p0" / "images.npy"
    before, splits = first.stat().st_mtime_ns, read_splits(plan.root)
    prepare_cohort(cohort, plan, seed=0)
    assert first.stat().st_mtime_ns == before
    assert read_splits(plan.root) == splits


def test_a_faulty_patient_is_named_and_the_others_are_prepared(cohort, plan):
    write_patient(cohort / "no-atlas", 9, with_atlas=False)
    refusals = prepare_cohort(cohort, plan, seed=0)
    assert [refusal.patient_id for refusal in refusals] == ["no-atlas"]
    assert "error[E10" in refusals[0].reason
    assert PreparedCohort.open(plan.root).patient_ids() == [f"p{n}" for n in range(5)]


def test_two_processes_prepare_what_one_does(cohort, plan, tmp_path):
    other = PreparePlan(tmp_path / "other", plan.preprocessing)
    prepare_cohort(cohort, plan, seed=0)
    prepare_cohort(cohort, other, seed=0, jobs=2)
    for path in sorted(plan.root.rglob("*.npy")):
        twin = other.root / path.relative_to(plan.root)
        assert path.read_bytes() == twin.read_bytes()


def test_the_same_scan_under_two_names_may_not_be_in_two_splits(cohort, plan):
    write_patient(cohort / "copy-of-p0", 0)
    for name in ("p0", "copy-of-p0"):
        (cohort / name / f"{name}_clot.nii.gz").rename(cohort / name / "x_clot.nii.gz")
    refused_splits = Splits({Split.TRAIN: ("p0",), Split.TEST: ("copy-of-p0",)})
    with contextlib.suppress(InputInconsistent):  # the drawn splits may happen to part them
        prepare_cohort(cohort, plan, seed=0)
    with pytest.raises(InputInconsistent, match="are the same scan"):
        guard_against_leaks(PreparedCohort.open(plan.root), refused_splits)


def test_another_preprocessing_does_not_mix_with_what_is_there(cohort, plan):
    prepare_cohort(cohort, plan, seed=0)
    other = PreparePlan(plan.root, PreprocessingConfig.from_preset("cta", size_px=(64, 64)))
    with pytest.raises(InputUnsupported, match="prepared with other settings"):
        prepare_cohort(cohort, other, seed=0)


def test_progress_counts_to_the_number_of_patients(cohort, plan):
    seen: list[tuple[int, int]] = []
    prepare_cohort(cohort, plan, seed=0, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 5) for number in range(1, 6)]


def test_keeps_all_positives_and_a_drawn_share_of_negatives():
    labels = np.zeros((50, 15), np.uint8)
    labels[20:24, 3] = 1
    kept = choose_slices(labels, negatives=6, patient_id="p")
    assert len(kept) == 10
    assert set(range(20, 24)) <= set(kept.tolist())
    assert kept.tolist() == sorted(set(kept.tolist()))
    np.testing.assert_array_equal(kept, choose_slices(labels, negatives=6, patient_id="p"))
    assert kept.tolist() != choose_slices(labels, negatives=6, patient_id="q").tolist()


def test_keeps_every_slice_where_no_share_is_asked_for():
    labels = np.zeros((50, 15), np.uint8)
    assert choose_slices(labels, negatives=None, patient_id="p").tolist() == list(range(50))


def test_an_empty_cohort_says_what_to_do(tmp_path, plan):
    (tmp_path / "cohort").mkdir()
    with pytest.raises(InputMissing, match="make one with aminet-phantom"):
        prepare_cohort(tmp_path / "cohort", plan, seed=0)


def test_prepared_json_of_another_version_is_refused(prepared_cohort, tmp_path):
    values = json.loads((prepared_cohort.root / "prepared.json").read_text())
    (tmp_path / "prepared.json").write_text(json.dumps({**values, "schema": "aminet.prepared/0"}))
    with pytest.raises(InputUnsupported, match="run aminet-prepare again"):
        PreparedCohort.open(tmp_path)
