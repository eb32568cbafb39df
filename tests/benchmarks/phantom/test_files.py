# SPDX-License-Identifier: Apache-2.0
"""The files of a patient, judged by nibabel."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from aminet_benchmarks.phantom import REGION_NAMES, make_patient
from aminet_benchmarks.phantom.files import write_patient
from aminet_runtime.errors import OutputExists, OutputNotWritable
from aminet_runtime.patient import Channel, PatientFolder

PHASES = ("CTA1", "CTA2regA", "CTA3regA")


@pytest.fixture(scope="module")
def folder(patient, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "p0000003"
    write_patient(patient, folder)
    return folder


def canonical(path):
    """Load voxels [Z, H, W] in LPS, whatever their storage."""
    image = nib.load(path)
    stored = nib.orientations.io_orientation(image.affine)
    wanted = nib.orientations.axcodes2ornt("LPS")
    turned = image.as_reoriented(nib.orientations.ornt_transform(stored, wanted))
    return np.asarray(turned.dataobj).transpose(2, 1, 0), turned.affine


def test_folder_holds_exactly_the_six_files_and_the_truth(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "ATLASMASKregA.nii.gz",
        "CTA1.nii.gz",
        "CTA2regA.nii.gz",
        "CTA3regA.nii.gz",
        "SpiralregA.nii.gz",
        "p0000003_clot.nii.gz",
        "phantom.json",
    ]


def test_files_hold_exactly_the_slices(patient, folder):
    slices = list(patient.slices())
    for number, name in enumerate(PHASES):
        voxels, _ = canonical(folder / f"{name}.nii.gz")
        np.testing.assert_array_equal(voxels, np.stack([s.phases[number] for s in slices]))
    atlas, _ = canonical(folder / "ATLASMASKregA.nii.gz")
    np.testing.assert_array_equal(atlas, np.stack([s.atlas for s in slices]))
    clot, _ = canonical(folder / "p0000003_clot.nii.gz")
    np.testing.assert_array_equal(clot, np.stack([s.clot for s in slices]))
    spiral, _ = canonical(folder / "SpiralregA.nii.gz")
    np.testing.assert_allclose(spiral, np.stack([s.spiral for s in slices]), atol=1e-6)


def test_types_are_those_of_the_reference_set(folder):
    for name in (*PHASES, "SpiralregA"):
        assert nib.load(folder / f"{name}.nii.gz").get_data_dtype() == np.int16
    assert nib.load(folder / "SpiralregA.nii.gz").dataobj.slope == pytest.approx(1e-4)


@pytest.mark.parametrize("axes", ["LPS", "LAS", "RAS", "RPS"])
def test_voxels_are_the_same_however_they_are_stored(patient, config, axes, tmp_path):
    stored = make_patient(patient.seed, replace(config, stored_axes=axes))
    write_patient(stored, tmp_path / "a")

    image = nib.load(tmp_path / "a" / "CTA1.nii.gz")
    voxels, affine = canonical(tmp_path / "a" / "CTA1.nii.gz")

    assert "".join(nib.aff2axcodes(image.affine)) == axes
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    np.testing.assert_array_equal(voxels[20], patient.slice(20, phases=(1,)).phases[0])
    expected = [*patient.grid.origin_mm]
    np.testing.assert_allclose(affine[:3, 3], expected, atol=1e-3)


def test_runtime_finds_and_reads_the_patient(folder):
    found = PatientFolder.open(folder)

    assert found.clot_path.name == "p0000003_clot.nii.gz"
    for channel in Channel:
        assert found.path_of(channel).is_file()


def test_truth_tells_what_the_files_hold(patient, folder):
    truth = json.loads((folder / "phantom.json").read_text())
    atlas, _ = canonical(folder / "ATLASMASKregA.nii.gz")
    clot, _ = canonical(folder / "p0000003_clot.nii.gz")

    pairs = sum(len(np.unique(a[c > 0])) for a, c in zip(atlas, clot, strict=True))

    assert truth["regions"] == np.unique(atlas[clot > 0]).tolist()
    assert truth["region_names"] == [REGION_NAMES[region] for region in truth["regions"]]
    assert truth["positive_pairs"] == pairs
    assert [c["place"] for c in truth["clots"]] == [str(c.place) for c in patient.clots]
    assert truth["config"]["preset"] == "report"
    assert "say nothing about patients" in truth["notice"]


def test_same_patient_gives_the_same_bytes(patient, folder, tmp_path):
    again = tmp_path / folder.name
    write_patient(patient, again)

    for path in folder.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_never_leaves_half_a_patient(patient, tmp_path, monkeypatch):
    planes = iter(range(30))

    def fail_in_the_middle(rendered):
        if next(planes) == 20:
            raise KeyboardInterrupt
        return original(rendered)

    original = __import__("aminet_benchmarks.phantom.files", fromlist=["x"])._stored_planes
    monkeypatch.setattr("aminet_benchmarks.phantom.files._stored_planes", fail_in_the_middle)

    with pytest.raises(KeyboardInterrupt):
        write_patient(patient, tmp_path / "p")

    assert list(tmp_path.iterdir()) == []


def test_refuses_to_write_over_another_folder(patient, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "something").write_text("mine")

    with pytest.raises(OutputExists):
        write_patient(patient, tmp_path / "p")

    assert [path.name for path in (tmp_path / "p").iterdir()] == ["something"]


@pytest.mark.parametrize("name", ["CTA2regA.nii.gz", "phantom.json"])
def test_a_full_disk_ends_in_one_line_and_leaves_nothing(patient, tmp_path, monkeypatch, name):
    opened = Path.open

    def open_full(path, *arguments, **options):
        full = Path("/dev/full") if path.name == name else path
        return opened(full, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_full)

    with pytest.raises(OutputNotWritable, match="no space left"):
        write_patient(patient, tmp_path / "p0000003")

    assert list(tmp_path.iterdir()) == []
