# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_runtime.errors import InputInconsistent
from aminet_train.cohort.pool import PatientPool
from aminet_train.cohort.prepared import PATIENTS_FOLDER, write_cohort_file, write_patient_arrays
from aminet_train.cohort.prepared_patient import CELL_GRID, PatientTruth, PreparedPatient, ScanInfo
from aminet_train.cohort.splits import Split, Splits, write_splits
from aminet_train.judging.candidates import open_candidate
from aminet_train.preprocessing import PreprocessingConfig

SIZE_PX = (60, 60)  # of the bundle
COUNT = 12


@pytest.fixture
def pool(tmp_path, regions) -> PatientPool:
    """A validation and a test patient, prepared as the bundle of the tests reads them."""
    config = PreprocessingConfig.from_preset("cta", windows_hu=((0.0, 400.0),), size_px=SIZE_PX)
    write_cohort_file(tmp_path, config, regions)
    for number, name in enumerate(("v", "t")):
        folder = tmp_path / PATIENTS_FOLDER / name
        folder.mkdir(parents=True)
        images = np.random.default_rng(number).integers(0, 256, (COUNT, 1, *SIZE_PX), np.uint8)
        labels = np.zeros((COUNT, 15), np.uint8)
        labels[4, 3] = 1
        write_patient_arrays(
            folder,
            images,
            np.arange(COUNT, dtype=np.int32),
            truth=PatientTruth(labels, np.zeros((COUNT, *CELL_GRID), np.uint16)),
            scan=ScanInfo((*SIZE_PX, COUNT), (4.0, 4.0, 5.0), name),
        )
    write_splits(tmp_path, Splits({Split.VALIDATION: ("v",), Split.TEST: ("t",)}))
    return PatientPool.open([tmp_path])


def keep_some(patient: PreparedPatient) -> None:
    """Leave the first five slices of a patient."""
    np.save(patient.folder / "images.npy", patient.images()[:5].copy())
    np.save(patient.folder / "kept.npy", patient.kept[:5])


def test_a_bundle_answers_for_every_slice(bundle_path, pool):
    answers = open_candidate(bundle_path).answers(pool, [Split.TEST], lambda: None)
    assert answers["t"].slice_scores.shape == (COUNT, 15)


@pytest.mark.parametrize("split", [Split.VALIDATION, Split.TEST])
def test_a_bundle_refuses_patients_with_some_slices_only(bundle_path, pool, tmp_path, split):
    (patient,) = pool.of_any_kind([split])
    keep_some(patient)
    some = PatientPool.open([tmp_path])
    with pytest.raises(InputInconsistent, match=f"patient {patient.patient_id} was prepared with"):
        open_candidate(bundle_path).answers(some, [Split.TEST], lambda: None)
