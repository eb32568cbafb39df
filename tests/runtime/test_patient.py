# SPDX-License-Identifier: Apache-2.0
"""Which file of a patient folder is what, and whether the phases share one grid."""

import os

import numpy as np
import pytest

from aminet_runtime.errors import InputInconsistent, InputMissing
from aminet_runtime.patient import GRID_TOLERANCE_MM, Channel, PatientFolder, check_same_grid
from aminet_runtime.volume import Volume


@pytest.fixture
def folder(tmp_path):
    """A folder with the files of a patient, all empty: opening it opens none of them."""
    folder = tmp_path / "379"
    folder.mkdir()
    stems = ("CTA1", "CTA2regA", "CTA3regA", "SpiralregA", "ATLASMASKregA", "379_clot")
    for stem in stems:
        (folder / f"{stem}.nii").touch()
    return folder


def test_finds_all_files_of_a_patient(folder):
    patient = PatientFolder.open(folder)
    assert patient.patient_id == "379"
    assert all(patient.has(channel) for channel in Channel)
    assert [patient.path_of(channel).name for channel in Channel] == [
        "CTA1.nii",
        "CTA2regA.nii",
        "CTA3regA.nii",
        "SpiralregA.nii",
        "ATLASMASKregA.nii",
    ]
    assert patient.has_atlas
    assert patient.atlas_path == folder / "ATLASMASKregA.nii"
    assert patient.has_clot
    assert patient.clot_path == folder / "379_clot.nii"


def test_channels_are_the_words_of_the_bundle():
    assert [str(channel) for channel in Channel] == ["cta1", "cta2", "cta3", "spiral", "atlas"]
    assert [channel for channel in Channel if channel.in_hu] == ["cta1", "cta2", "cta3"]
    assert Channel("cta2").file_stem == "CTA2regA"


def test_a_patient_folder_is_a_value(folder):
    patient = PatientFolder.open(folder)
    assert patient == PatientFolder.open(str(folder))
    with pytest.raises(AttributeError):
        patient.path = folder.parent


@pytest.mark.parametrize(
    "name", ["cta2rega.nii", "CTA2REGA.NII", "CTA2regA.nii.gz", "cta2RegA.Nii.GZ"]
)
def test_accepts_names_that_differ_in_case_only(name, tmp_path):
    (tmp_path / name).touch()
    assert PatientFolder.open(tmp_path).path_of(Channel.CTA2) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "CTA2.nii",
        "CTA2regA",
        "CTA2regA.nii.bak",
        "CTA2regA.hdr",
        "CTA2regA (1).nii",
        " CTA2regA.nii",
        "._CTA2regA.nii",
        "._379_clot.nii",
        "clot.nii",
        "379_clot.json",
        "379_clots.nii",
        ".nii",
    ],
)
def test_passes_by_other_files(name, folder):
    before = PatientFolder.open(folder)
    (folder / name).touch()
    assert PatientFolder.open(folder) == before


def test_names_the_file_that_is_missing_and_those_that_are_there(tmp_path):
    for name in ("CTA1.nii", "SpiralregA.nii.gz", "secret.txt"):
        (tmp_path / name).touch()
    patient = PatientFolder.open(tmp_path)
    assert not patient.has(Channel.CTA2)
    with pytest.raises(InputMissing) as refusal:
        patient.path_of(Channel.CTA2)
    assert refusal.value.code == "E1012"
    assert refusal.value.message == "CTA2regA.nii.gz or CTA2regA.nii is not in the folder"
    assert refusal.value.hint == "add it; there are CTA1.nii, SpiralregA.nii.gz"


@pytest.mark.parametrize(
    ("attribute", "wanted"),
    [("atlas_path", r"ATLASMASKregA\.nii\.gz or"), ("clot_path", r"<id>_clot\.nii\.gz or")],
)
def test_names_the_mask_that_is_missing(attribute, wanted, tmp_path):
    (tmp_path / "CTA1.nii").touch()
    patient = PatientFolder.open(tmp_path)
    assert not patient.has_atlas
    assert not patient.has_clot
    with pytest.raises(InputMissing, match=wanted):
        getattr(patient, attribute)


@pytest.mark.parametrize(
    "second", ["CTA2regA.nii.gz", "cta2rega.nii.gz", "380_clot.nii", "379_clot.nii.gz"]
)
def test_refuses_a_file_that_is_there_twice(second, folder):
    (folder / second).touch()
    with pytest.raises(InputInconsistent, match="are both in the folder; keep the one") as refusal:
        PatientFolder.open(folder)
    assert refusal.value.code == "E1310"
    assert second in refusal.value.message
    assert refusal.value.path == folder


def test_refuses_a_path_that_is_not_there(tmp_path):
    with pytest.raises(InputMissing, match="380: there is no such folder") as refusal:
        PatientFolder.open(tmp_path / "380")
    assert refusal.value.code == "E1010"


@pytest.mark.parametrize("name", ["CTA1.nii", "CTA1.nii/deeper", "nul\0"])
def test_refuses_a_path_that_is_no_folder(name, folder):
    with pytest.raises(InputMissing, match=r"cannot be read.*not a file in it") as refusal:
        PatientFolder.open(folder / name)
    assert refusal.value.code == "E1013"


@pytest.mark.parametrize("content", [(), ("readme.txt", "scan.nii")])
def test_refuses_a_folder_without_a_patient(content, tmp_path):
    for name in content:
        (tmp_path / name).touch()
    with pytest.raises(
        InputMissing, match=r"none of a patient's files.*not the cohort's"
    ) as refusal:
        PatientFolder.open(tmp_path)
    assert refusal.value.code == "E1011"
    assert "scan" not in str(refusal.value)


def test_a_link_to_a_folder_keeps_its_own_name(folder, tmp_path):
    (tmp_path / "today").symlink_to(folder, target_is_directory=True)
    patient = PatientFolder.open(tmp_path / "today")
    assert patient.patient_id == "today"
    assert patient.path_of(Channel.CTA1).is_file()


@pytest.mark.parametrize("spelling", [".", "", "./", "../379", "../379/."])
def test_a_relative_path_gets_the_name_of_the_folder(spelling, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert PatientFolder.open(spelling).patient_id == "379"


@pytest.mark.skipif(os.name == "nt", reason="the current folder cannot be removed there")
def test_the_current_folder_may_be_gone(folder, monkeypatch):
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    (folder / "empty").rmdir()
    with pytest.raises(InputMissing, match="the current folder is gone") as refusal:
        PatientFolder.open(".")
    assert refusal.value.code == "E1014"


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_need_not_be_unicode(tmp_path):
    folder = tmp_path / os.fsdecode(b"M\xfcller\n")
    folder.mkdir()
    (folder / os.fsdecode(b"\xfc_clot.nii")).touch()
    patient = PatientFolder.open(folder)
    assert patient.has_clot
    with pytest.raises(InputMissing) as refusal:
        patient.path_of(Channel.CTA1)
    assert str(refusal.value).isprintable()


def test_opens_what_the_fixture_writes(patient_folder):
    patient = PatientFolder.open(patient_folder)
    with Volume.open(patient.path_of(Channel.CTA2)) as volume:
        assert volume.shape == (36, 96, 96)


# --- one grid ---


def open_pair(tmp_path, first, second):
    return Volume.open(first.write(tmp_path / "CTA1.nii")), Volume.open(
        second.write(tmp_path / "CTA2regA.nii")
    )


def check_pair(volumes):
    try:
        check_same_grid(volumes)
    finally:
        for volume in volumes:
            volume.close()


def test_one_grid_in_all_storages(stored_alike, tmp_path):
    volumes = [
        Volume.open(image.write(tmp_path / f"{code}.nii")) for code, image in stored_alike().items()
    ]
    check_pair(volumes)


def test_one_volume_is_of_one_grid(small_nifti, tmp_path):
    check_pair([Volume.open(small_nifti.write(tmp_path / "CTA1.nii"))])
    check_same_grid([])


def test_refuses_another_number_of_voxels(nifti, tmp_path):
    small, large = (nifti(voxels=np.zeros((5, 7, count), np.int16)) for count in (3, 4))
    with pytest.raises(InputInconsistent) as refusal:
        check_pair(open_pair(tmp_path, small, large))
    assert refusal.value.code == "E1311"
    assert str(refusal.value).startswith(
        "CTA2regA.nii: the grid is not that of CTA1.nii: 5 x 7 x 3 and 5 x 7 x 4 voxels; register"
    )


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("shift", [-1.01, 1.01, 40.0])
def test_refuses_another_place(axis, shift, nifti, small_nifti, tmp_path):
    moved = small_nifti.affine.copy()
    moved[axis, 3] += shift * GRID_TOLERANCE_MM
    other = nifti(voxels=small_nifti.voxels, affine=moved)
    message = f"the same corner {abs(shift) * GRID_TOLERANCE_MM:.2f} mm apart"
    with pytest.raises(InputInconsistent, match=message):
        check_pair(open_pair(tmp_path, small_nifti, other))


@pytest.mark.parametrize("axis", range(3))
def test_accepts_what_rounding_may_do(axis, nifti, small_nifti, tmp_path):
    moved = small_nifti.affine.copy()
    moved[axis, 3] += 0.9 * GRID_TOLERANCE_MM
    check_pair(open_pair(tmp_path, small_nifti, nifti(voxels=small_nifti.voxels, affine=moved)))


def test_refuses_another_spacing(nifti, tmp_path):
    voxels = np.zeros((100, 7, 3), np.int16)
    affines = [np.diag([spacing, 0.75, 1.25, 1.0]) for spacing in (0.5, 0.51)]
    first, second = (nifti(voxels=voxels, affine=affine) for affine in affines)
    message = r"voxels of 0\.5 x 0\.75 x 1\.25 and 0\.51 x 0\.75 x 1\.25 mm, .* 0\.99 mm apart"
    with pytest.raises(InputInconsistent, match=message):
        check_pair(open_pair(tmp_path, first, second))


def test_refuses_the_other_side(nifti, small_nifti, tmp_path):
    """The same numbers in the header but for one sign: right and left are swapped."""
    mirrored = small_nifti.affine * np.array([[-1, 1, 1, 1]]).T
    other = nifti(voxels=small_nifti.voxels, affine=mirrored)
    with pytest.raises(InputInconsistent, match="mm apart"):
        check_pair(open_pair(tmp_path, small_nifti, other))
