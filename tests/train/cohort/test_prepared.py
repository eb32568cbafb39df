# SPDX-License-Identifier: Apache-2.0
"""A prepared patient whose files were damaged or mixed up."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aminet_runtime.errors import InputDamaged, InputInconsistent
from aminet_train.cohort.prepared import PATIENTS_FOLDER, PreparedCohort

NAME = "patient-00"
HINT = "; copy it again, or delete the folder, prepare again"


@pytest.fixture
def cohort(prepared_cohort, tmp_path) -> PreparedCohort:
    """A copy with one patient, to be damaged."""
    place = Path(PATIENTS_FOLDER, NAME)
    shutil.copytree(prepared_cohort.root / place, tmp_path / place)
    shutil.copy(prepared_cohort.root / "prepared.json", tmp_path)
    return PreparedCohort.open(tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def break_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"'shape': (", b"'shape': 0(", 1))


def open_bracket(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"), }", b"(, }", 1))


def drop_a_slice(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


@pytest.mark.parametrize("name", ["labels", "clot_cells", "kept"])
@pytest.mark.parametrize("damage", [cut, empty, Path.unlink, break_header, open_bracket])
def test_names_the_damaged_array_of_a_patient(cohort, name, damage: Callable[[Path], None]):
    path = cohort.patient(NAME).folder / f"{name}.npy"
    damage(path)
    with pytest.raises(InputDamaged, match=HINT) as caught:
        cohort.patient(NAME)
    assert caught.value.path == path


def test_names_a_damaged_spiral_map(cohort):
    path = cohort.patient(NAME).folder / "spiral.npy"
    np.save(path, np.zeros((12, 15), np.float32))
    cut(path)
    with pytest.raises(InputDamaged, match=f"spiral.npy: not a whole array: .*{HINT}"):
        cohort.patient(NAME)


@pytest.mark.parametrize("damage", [cut, empty, Path.unlink, drop_a_slice, break_header])
def test_names_damaged_images(cohort, damage: Callable[[Path], None]):
    patient = cohort.patient(NAME)
    path = patient.folder / "images.npy"
    damage(path)
    with pytest.raises(InputDamaged, match=HINT) as caught:
        patient.images()
    assert caught.value.path == path


def test_says_how_many_images_there_should_be(cohort):
    patient = cohort.patient(NAME)
    drop_a_slice(patient.folder / "images.npy")
    with pytest.raises(InputDamaged, match=r"\(11, 1, 64, 64\) are not those of 12 kept slices"):
        patient.images()


def test_images_are_mapped_also_where_none_is_kept(cohort):
    patient = cohort.patient(NAME)
    assert isinstance(patient.images(), np.memmap)
    np.save(patient.folder / "images.npy", patient.images()[:0])
    np.save(patient.folder / "kept.npy", patient.kept[:0])
    assert cohort.patient(NAME).images().shape == (0, 1, 64, 64)


def test_requires_all_slices(cohort):
    patient = cohort.patient(NAME)
    patient.require_complete()
    np.save(patient.folder / "kept.npy", patient.kept[:-1])
    with pytest.raises(InputInconsistent, match=f"{NAME} was prepared with some slices only; prep"):
        cohort.patient(NAME).require_complete()
