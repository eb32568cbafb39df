# SPDX-License-Identifier: Apache-2.0
import errno
import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aminet_runtime.errors import (
    InputInconsistent,
    InputMissing,
    InputUnsupported,
    OutputNotWritable,
)
from aminet_train.cohort.folder_facts import FirstPhase
from aminet_train.cohort.folder_source import FolderSource
from aminet_train.cohort.patients import gather_patients
from aminet_train.cohort.prepare import guard_against_leaks, prepare_cohort
from aminet_train.cohort.prepare_patient import PreparePlan, choose_slices, prepare_patient
from aminet_train.cohort.prepared import KeptSlices, PreparedCohort
from aminet_train.cohort.splits import Split, SplitBy, Splits, read_splits
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig
from aminet_train.slice_window import SliceWindow

DEPTH, HEIGHT, WIDTH = 12, 60, 60
LPS = np.diag([-4.0, -4.0, 5.0, 1.0])


def save(volume: NDArray[np.generic], path: Path) -> None:
    """Save canonical voxels [Z, H, W]."""
    nibabel.save(nibabel.Nifti1Image(volume.transpose(2, 1, 0), LPS), path)


@pytest.fixture
def add_patient(make_head):
    """Write a patient: atlas 0 and, in the right half of the columns, 5; clots 1 and 2."""

    def write(folder: Path, seed: int, *, with_atlas: bool = True) -> None:
        folder.mkdir(parents=True)
        atlas = np.zeros((DEPTH, HEIGHT, WIDTH), np.int16)
        atlas[:, :, 32:] = 5
        clot = np.zeros_like(atlas)
        clot[2, 10, 40] = 1
        clot[3, 20, 10] = 2
        clot[3, 40, 33] = 1
        save(make_head(seed=seed), folder / "CTA2regA.nii.gz")
        save(clot, folder / f"{folder.name}_clot.nii.gz")
        if with_atlas:
            save(atlas, folder / "ATLASMASKregA.nii.gz")

    return write


@pytest.fixture
def plan(tmp_path) -> PreparePlan:
    config = PreprocessingConfig.from_preset("cta", size_px=(56, 56))
    return PreparePlan(tmp_path / "prepared", config)


@pytest.fixture
def cohort(tmp_path, add_patient) -> Path:
    for number in range(5):
        add_patient(tmp_path / "cohort" / f"p{number}", number)
    return tmp_path / "cohort"


def test_labels_are_those_of_the_voxels_that_were_set(cohort, plan):
    assert prepare_cohort(cohort, plan, seed=0) == []
    truth = PreparedCohort.open(plan.root).patient("p0").truth
    expected = np.zeros((DEPTH, 15), np.uint8)
    expected[2, 5] = expected[3, 0] = expected[3, 5] = 1
    np.testing.assert_array_equal(truth.labels, expected)


def test_cells_are_where_the_voxels_are(cohort, plan):
    prepare_cohort(cohort, plan, seed=0)
    cells = PreparedCohort.open(plan.root).patient("p0").truth.clot_cells
    expected = np.zeros((DEPTH, 56, 56), np.uint16)
    for number, row, column, region in [(2, 10, 40, 5), (3, 20, 10, 0), (3, 40, 33, 5)]:
        expected[number, row * 56 // HEIGHT, column * 56 // WIDTH] = 1 << region
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


def test_a_faulty_patient_is_named_and_the_others_are_prepared(cohort, plan, add_patient):
    add_patient(cohort / "no-atlas", 9, with_atlas=False)
    (refusal,) = prepare_cohort(cohort, plan, seed=0)
    assert (refusal.patient_id, refusal.code) == ("no-atlas", "E1012")
    assert "ATLASMASKregA.nii.gz or ATLASMASKregA.nii is not in the folder" in str(refusal)
    assert PreparedCohort.open(plan.root).patient_ids() == [f"p{n}" for n in range(5)]


def test_two_processes_prepare_what_one_does(cohort, plan, tmp_path):
    other = PreparePlan(tmp_path / "other", plan.preprocessing)
    prepare_cohort(cohort, plan, seed=0)
    prepare_cohort(cohort, other, seed=0, jobs=2)
    for path in sorted(plan.root.rglob("*.npy")):
        twin = other.root / path.relative_to(plan.root)
        assert path.read_bytes() == twin.read_bytes()


def test_the_same_scan_under_two_names_is_on_one_side_and_reported(cohort, plan, add_patient):
    add_patient(cohort / "copy-of-p0", 0)
    prepare_cohort(cohort, plan, seed=0)
    splits = read_splits(plan.root)
    assert any({"p0", "copy-of-p0"} <= set(splits[split]) for split in Split)
    report = json.loads((plan.root / "report.json").read_text())
    assert report["duplicates"] == [["copy-of-p0", "p0"]]
    assert any("copy-of-p0, p0 hold the same scan" in remark for remark in report["remarks"])


def test_the_same_voxels_in_another_file_are_the_same_scan(cohort, plan):
    shutil.copytree(cohort / "p0", cohort / "plain")
    packed = cohort / "plain" / "CTA2regA.nii.gz"
    (cohort / "plain" / "CTA2regA.nii").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    prepare_cohort(cohort, plan, seed=0)
    assert json.loads((plan.root / "report.json").read_text())["duplicates"] == [["p0", "plain"]]


def test_one_scan_may_not_be_in_two_splits(cohort, plan, add_patient):
    add_patient(cohort / "copy-of-p0", 0)
    prepare_cohort(cohort, plan, seed=0)
    parted = Splits({Split.TRAIN: ("p0",), Split.TEST: ("copy-of-p0",)})
    with pytest.raises(InputInconsistent, match="are the same scan"):
        guard_against_leaks(PreparedCohort.open(plan.root), parted)


def test_phantoms_of_one_tree_are_on_one_side(cohort, plan):
    for name in ("p0", "p3", "p4"):
        (cohort / name / "phantom.json").write_text('{"anatomy": {"tree": "t7"}}')
    prepare_cohort(cohort, plan, seed=0)
    splits = read_splits(plan.root)
    assert any({"p0", "p3", "p4"} <= set(splits[split]) for split in Split)
    assert PreparedCohort.open(plan.root).patient("p3").group == "t7"


def test_more_patients_leave_the_old_ones_where_they_are(cohort, plan, add_patient):
    prepare_cohort(cohort, plan, seed=0)
    before = read_splits(plan.root)
    for number in range(5, 9):
        add_patient(cohort / f"a{number}", number)
    prepare_cohort(cohort, plan, seed=99)
    after = read_splits(plan.root)
    for split in Split:
        assert set(before[split]) <= set(after[split])
    assert sum(len(after[split]) for split in Split) == 9
    assert after.seed == 0


def test_a_replaced_file_is_prepared_again(cohort, plan, make_head):
    prepare_cohort(cohort, plan, seed=0)
    before = PreparedCohort.open(plan.root).patient("p2")
    save(make_head(affected=(4,), seed=77), cohort / "p2" / "CTA2regA.nii.gz")
    prepare_cohort(cohort, plan, seed=0)
    after = PreparedCohort.open(plan.root).patient("p2")
    assert after.fingerprint != before.fingerprint
    assert read_splits(plan.root).patients == read_splits(plan.root).patients


def patients_of(splits: Splits) -> set[str]:
    return {name for split in Split for name in splits[split]}


@pytest.mark.parametrize("split", [Split.TRAIN, Split.TEST])
@pytest.mark.parametrize(
    "damage", [lambda content: content[:-99], lambda _: b"not an image"], ids=["cut", "no header"]
)
def test_a_dealt_patient_who_is_damaged_later_is_refused_once(cohort, plan, split, damage):
    prepare_cohort(cohort, plan, seed=0)
    before = read_splits(plan.root)
    name = before[split][0]
    file = cohort / name / "CTA2regA.nii.gz"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))

    (refusal,) = prepare_cohort(cohort, plan, seed=0)
    assert refusal.patient_id == name
    assert PreparedCohort.open(plan.root).patient_ids() == sorted(patients_of(before) - {name})
    after = read_splits(plan.root)
    assert all(set(after[part]) == set(before[part]) - {name} for part in Split)
    report = json.loads((plan.root / "report.json").read_text())
    assert (report["patients"]["used"], report["patients"]["refused"]) == (4, 1)

    file.write_bytes(whole)
    assert prepare_cohort(cohort, plan, seed=0) == []
    assert patients_of(read_splits(plan.root)) == patients_of(before)


def test_a_patient_who_was_deleted_altogether_leaves_the_splits(cohort, plan):
    prepare_cohort(cohort, plan, seed=0)
    shutil.rmtree(cohort / "p3")
    shutil.rmtree(plan.folder_of("p3"))
    assert prepare_cohort(cohort, plan, seed=0) == []
    assert patients_of(read_splits(plan.root)) == {"p0", "p1", "p2", "p4"}


def test_a_patient_who_is_refused_when_all_slices_are_wanted_leaves_the_splits(cohort, plan):
    some = replace(plan, kept=KeptSlices(2))
    prepare_cohort(cohort, some, seed=0)
    (name,) = read_splits(plan.root)[Split.TEST]
    shutil.rmtree(plan.folder_of(name))
    prepare_patient(FolderSource(cohort / name, plan.preprocessing.channels), some)
    file = cohort / name / "CTA2regA.nii.gz"
    content = bytearray(file.read_bytes())
    content[-6] ^= 1  # in the check sum: the size is the same
    file.write_bytes(content)

    (refusal,) = prepare_cohort(cohort, some, seed=0)
    assert refusal.patient_id == name
    assert name not in patients_of(read_splits(plan.root))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "p0: there is no space left; free some"),
        (OSError("99 requested and 0 written"), r"p0: cannot be written \(99 requested and 0 wri"),
    ],
)
def test_a_full_disk_is_no_fault_of_the_patient(cohort, plan, monkeypatch, error, message):
    def save_nothing(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(np, "save", save_nothing)
    source = FolderSource(cohort / "p0", plan.preprocessing.channels)
    with pytest.raises(OutputNotWritable, match=message):
        prepare_patient(source, plan)
    assert list(plan.folder_of("p0").parent.iterdir()) == []


def test_training_patients_keep_some_slices_and_the_others_all(cohort, plan):
    prepare_cohort(cohort, replace(plan, kept=KeptSlices(2)), seed=0)
    _cohort, patients = gather_patients([plan.root])
    assert {len(patient.kept) for patient in patients[Split.TRAIN]} == {4}
    for split in (Split.VALIDATION, Split.TEST):
        assert all(patient.is_complete for patient in patients[split])
    report = json.loads((plan.root / "report.json").read_text())
    assert report["slices"]["stored"] == 3 * 4 + 2 * DEPTH


def test_splits_by_slice_are_labelled_as_leaking(cohort, plan):
    by_slice = replace(plan, split_by=SplitBy.SLICE)
    prepare_cohort(cohort, by_slice, seed=5)
    cohort_opened, patients = gather_patients([plan.root])
    assert cohort_opened.leaking
    numbers = [set(patients[split][0].slices.tolist()) for split in Split]
    assert set.union(*numbers) == set(range(DEPTH))
    report = json.loads((plan.root / "report.json").read_text())
    assert report["note"] == "leaking: slices of one patient on both sides"
    assert "leaking: slices of one patient on both sides" in (plan.root / "report.html").read_text()
    with pytest.raises(InputUnsupported, match="is split by slice, not by patient"):
        prepare_cohort(cohort, plan, seed=5)


def test_spiral_maxima_are_those_of_the_map(cohort, plan):
    spiral = np.zeros((DEPTH, HEIGHT, WIDTH), np.float32)
    spiral[2, 30, 40], spiral[2, 30, 41], spiral[7, 5, 3] = 0.5, 0.75, 0.25
    save(spiral, cohort / "p1" / "SpiralregA.nii.gz")
    prepare_cohort(cohort, plan, seed=0)
    prepared = PreparedCohort.open(plan.root)
    expected = np.zeros((DEPTH, 15), np.float32)
    expected[2, 5], expected[7, 0] = 0.75, 0.25
    np.testing.assert_array_equal(prepared.patient("p1").truth.spiral, expected)
    assert prepared.patient("p0").truth.spiral is None


@pytest.mark.parametrize(
    ("shift_mm", "state"), [(0.0, FirstPhase.SAME_GRID), (30.0, FirstPhase.OTHER_GRID)]
)
def test_says_whether_phase_1_is_on_the_atlas_grid(cohort, plan, make_head, shift_mm, state):
    affine = LPS.copy()
    affine[0, 3] = shift_mm
    head = nibabel.Nifti1Image(make_head().transpose(2, 1, 0), affine)
    nibabel.save(head, cohort / "p3" / "CTA1.nii.gz")
    assert prepare_cohort(cohort, plan, seed=0) == []
    facts = PreparedCohort.open(plan.root).patient("p3").scan.facts
    assert facts.first_phase is state
    report = json.loads((plan.root / "report.json").read_text())
    assert report["first_phase"]["usable"] == (state is FirstPhase.SAME_GRID)
    assert any("phase 1 is not on" in r for r in report["remarks"]) == (shift_mm > 0)


def test_report_counts_what_was_written(cohort, plan):
    prepare_cohort(cohort, plan, seed=0)
    report = json.loads((plan.root / "report.json").read_text())
    assert report["patients"] == {"used": 5, "refused": 0, "no_longer_in_the_cohort": []}
    expected = {"count": 60, "stored": 60, "with_clot": 10, "positive_pairs": 15}
    assert report["slices"] == expected
    by_region = [(row["patients"], row["slices"]) for row in report["regions"]]
    assert by_region == [(5, 5), *[(0, 0)] * 4, (5, 10), *[(0, 0)] * 9]
    assert report["scans"]["spacing_mm"][2] == {"lowest": 5.0, "median": 5.0, "highest": 5.0}
    assert report["scans"]["range_hu"]["lowest"] == -1000
    assert report["first_phase"]["absent"] == [f"p{n}" for n in range(5)]


def test_report_page_is_self_contained_and_escapes_names(cohort, plan):
    (cohort / "p0").rename(cohort / "<b>p0")
    prepare_cohort(cohort, plan, seed=0)
    page = (plan.root / "report.html").read_text()
    assert "&lt;b&gt;p0" in page
    assert "<b>" not in page
    assert not re.search(r"(src|href)=", page)


def test_another_preprocessing_does_not_mix_with_what_is_there(cohort, plan):
    prepare_cohort(cohort, plan, seed=0)
    other = PreparePlan(plan.root, PreprocessingConfig.from_preset("cta", size_px=(64, 64)))
    with pytest.raises(InputUnsupported, match="prepared with other settings"):
        prepare_cohort(cohort, other, seed=0)


def test_progress_counts_to_the_number_of_patients(cohort, plan):
    seen: list[tuple[int, int]] = []
    prepare_cohort(cohort, plan, seed=0, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 5) for number in range(1, 6)]


def chosen(labels: NDArray[np.uint8], wanted: KeptSlices, patient_id: str = "p") -> list[int]:
    return choose_slices(labels, wanted, patient_id=patient_id, slice_spacing_mm=0.5).tolist()


def test_keeps_all_positives_and_a_drawn_share_of_negatives():
    labels = np.zeros((50, 15), np.uint8)
    labels[20:24, 3] = 1
    kept = chosen(labels, KeptSlices(6))
    assert len(kept) == 10
    assert set(range(20, 24)) <= set(kept)
    assert kept == sorted(set(kept))
    assert kept == chosen(labels, KeptSlices(6))
    assert kept != chosen(labels, KeptSlices(6), "q")


def test_keeps_some_of_the_slices_with_clot():
    labels = np.zeros((50, 15), np.uint8)
    labels[20:30, 4] = 1
    kept = chosen(labels, KeptSlices(6, positives=4))
    assert sum(20 <= number < 30 for number in kept) == 4
    assert len(kept) == 10
    assert sum(20 <= n < 30 for n in chosen(labels, KeptSlices(6, positives=40))) == 10


def test_keeps_the_neighbours_of_chosen_slices():
    labels = np.zeros((50, 15), np.uint8)
    labels[20, 3] = labels[49, 3] = 1
    kept = chosen(labels, KeptSlices(0, SliceWindow(5, spacing_mm=1.0)))
    assert kept == [16, 18, 20, 22, 24, 45, 47, 49]


def test_keeps_every_slice_where_no_share_is_asked_for():
    labels = np.zeros((50, 15), np.uint8)
    assert chosen(labels, KeptSlices()) == list(range(50))


def test_an_empty_cohort_says_what_to_do(tmp_path, plan):
    (tmp_path / "cohort").mkdir()
    with pytest.raises(InputMissing, match="make one with aminet-phantom"):
        prepare_cohort(tmp_path / "cohort", plan, seed=0)


def test_prepared_json_of_another_version_is_refused(prepared_cohort, tmp_path):
    values = json.loads((prepared_cohort.root / "prepared.json").read_text())
    (tmp_path / "prepared.json").write_text(json.dumps({**values, "schema": "aminet.prepared/0"}))
    with pytest.raises(InputUnsupported, match="run aminet-prepare again"):
        PreparedCohort.open(tmp_path)


def test_with_a_margin_the_clot_grid_shows_what_the_network_sees(cohort, tmp_path):
    config = PreprocessingConfig.from_preset("cta", size_px=(32, 24), margin_px=(4, 8))
    plan = PreparePlan(tmp_path / "prepared", config)
    assert prepare_cohort(cohort, plan, seed=0) == []
    truth = PreparedCohort.open(plan.root).patient("p0").truth
    assert truth.clot_cells.shape == (DEPTH, 8, 6)
    assert np.argwhere(truth.labels).tolist() == [
        [2, 5],
        [3, 0],
        [3, 5],
    ]  # those of the whole slice
    for number, row, column, region in [(2, 10, 40, 5), (3, 20, 10, 0), (3, 40, 33, 5)]:
        place = row * 10 // HEIGHT - 1, column * 10 // WIDTH - 2
        if min(place) >= 0 and place[0] < 8 and place[1] < 6:
            assert truth.clot_cells[number][place] >> region & 1
    assert np.count_nonzero(truth.clot_cells) > 0
