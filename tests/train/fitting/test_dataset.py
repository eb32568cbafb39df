# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aminet_runtime.errors import InputInconsistent
from aminet_runtime.slice_window import fill_planes
from aminet_train.cohort.prepared import (
    PATIENTS_FOLDER,
    PreparedCohort,
    write_cohort_file,
    write_patient_arrays,
)
from aminet_train.cohort.prepared_patient import CELL_GRID, PatientTruth, PreparedPatient, ScanInfo
from aminet_train.fitting.dataset import BalancedDraw, SliceDataset, collate, unpack_cells
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig
from aminet_train.slice_window import SliceWindow

TWO_WINDOWS = ((-100.0, 500.0), (0.0, 200.0))
WINDOWS = [
    SliceWindow(),
    SliceWindow(3),
    SliceWindow(3, slab=True, mirrored=True),
    SliceWindow(5, 1.5, mirrored=True),
]


def store(root: Path, views: NDArray[np.uint8], kept: list[int], count: int) -> PreparedPatient:
    """Store a patient with slices 0.8 mm apart and clot on slice 4."""
    labels = np.zeros((count, 15), np.uint8)
    labels[4, 3] = 1
    folder = root / PATIENTS_FOLDER / "p"
    folder.mkdir(parents=True)
    write_patient_arrays(
        folder,
        views,
        np.array(kept, np.int32),
        truth=PatientTruth(labels, np.zeros((count, *CELL_GRID), np.uint16)),
        scan=ScanInfo((*views.shape[:1:-1], count), (0.5, 0.5, 0.8), "hash"),
    )
    return PreparedCohort.open(root).patient("p")


@pytest.mark.parametrize("window", WINDOWS)
def test_cache_gives_what_the_graph_gives_on_full_size_slices(window, tmp_path, regions):
    config = PreprocessingConfig.from_preset("cta+spiral", windows_hu=TWO_WINDOWS)
    write_cohort_file(tmp_path, config, regions)
    generator = np.random.default_rng(0)
    hu = generator.uniform(-1000, 2000, (7, 2, 512, 512)).astype(np.float32)
    hu[:, 1] = generator.uniform(0, 1, (7, 512, 512))
    with torch.inference_mode():
        views = Preprocessing(config)(torch.from_numpy(hu)).numpy()
    patient = store(tmp_path, np.rint(views * 255).astype(np.uint8), list(range(7)), 7)
    cached = patient.inputs(patient.slices, window)

    graph = Preprocessing(config, window)
    source = [(index, partial(np.copyto, src=image)) for index, image in enumerate(hu)]
    planes = np.empty((2 * window.size, 512, 512), np.float32)
    step = 2 if window.spacing_mm else 1  # 1.5 mm of 0.8 mm slices
    for index in fill_planes(source, planes, window=window.size, step=step):
        with torch.inference_mode():
            expected = graph(torch.from_numpy(planes)[None])[0]
        # half a level of the 8 bits that the cache stores
        torch.testing.assert_close(cached[index], expected, atol=0.5 / 255 + 1e-6, rtol=0)


def test_only_slices_with_all_neighbours_can_be_drawn(tmp_path, preprocessing_config, regions):
    write_cohort_file(tmp_path, preprocessing_config, regions)
    kept = [0, 1, 3, 4, 5, 9]
    patient = store(tmp_path, np.zeros((6, 1, 8, 8), np.uint8), kept, 10)
    assert patient.drawable(SliceWindow()).tolist() == kept
    assert patient.drawable(SliceWindow(3)).tolist() == [0, 4]
    dataset = SliceDataset([patient], SliceWindow(3))
    assert dataset.labels.any(axis=1).tolist() == [False, True]
    assert dataset[1].images.shape == (3, 8, 8)
    with pytest.raises(InputInconsistent, match="some slices only"):
        patient.inputs(np.array([2], np.int32), SliceWindow())


def test_a_patient_shows_his_atlas_once_whatever_the_window(tmp_path, regions):
    config = PreprocessingConfig.from_preset("arterial+atlas", size_px=(8, 8))
    write_cohort_file(tmp_path, config, regions)
    views = np.arange(6, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 8, 8), np.uint8)
    shown = store(tmp_path, views, list(range(6)), 6).inputs(np.array([3]), SliceWindow(3))
    assert (shown[0, :, 0, 0] * 255).round().tolist() == [2, 3, 4, 3]


def test_a_patient_of_some_slices_gives_those(prepared_cohort):
    patient = prepared_cohort.patient(prepared_cohort.patient_ids()[0])
    some = replace(patient, slices=np.array([2, 5, 7], np.int32))
    np.testing.assert_array_equal(some.labels_here, patient.truth.labels[[2, 5, 7]])
    assert len(SliceDataset([some])) == 3


def test_slices_follow_patient_after_patient(prepared_cohort):
    patients = [prepared_cohort.patient(name) for name in prepared_cohort.patient_ids()[:3]]
    dataset = SliceDataset(patients)
    assert len(dataset) == sum(len(patient.kept) for patient in patients)
    second = dataset[len(patients[0].kept) + 5]
    expected = patients[1].images()[5].astype(np.float32) / 255
    np.testing.assert_array_equal(second.images.numpy(), expected)
    np.testing.assert_array_equal(second.labels.numpy(), patients[1].kept_labels[5])


def test_cells_name_the_region_that_the_labels_name(prepared_cohort):
    dataset = SliceDataset([prepared_cohort.patient(prepared_cohort.patient_ids()[0])])
    for index in range(len(dataset)):
        item = dataset[index]
        torch.testing.assert_close(item.cells.amax(dim=(1, 2)), item.labels)


def test_a_slice_knows_the_regions_that_hold_clot_in_the_others(prepared_cohort):
    patient = prepared_cohort.patient(prepared_cohort.patient_ids()[0])
    dataset = SliceDataset([patient])
    of_patient = torch.from_numpy(patient.truth.labels.any(axis=0)).float()

    items = [dataset[index] for index in range(len(dataset))]

    assert any(bool(item.elsewhere.any()) for item in items)
    for item in items:
        torch.testing.assert_close(item.labels + item.elsewhere, of_patient)


def test_unpacks_each_bit_to_its_region():
    cells = unpack_cells(torch.tensor([[0b100000000000001, 0b10]]))
    assert cells.shape == (15, 1, 2)
    assert cells[:, 0, 0].nonzero().ravel().tolist() == [0, 14]
    assert cells[:, 0, 1].nonzero().ravel().tolist() == [1]


def test_draw_takes_all_positives_and_the_share_of_negatives():
    labels = np.zeros((100, 15), np.uint8)
    labels[:10, 4] = 1
    draw = BalancedDraw(labels, negatives_per_positive=2.0, seed=0)
    drawn = draw.order(0).tolist()
    assert len(drawn) == len(draw) == 30
    assert set(range(10)) <= set(drawn)
    assert len(set(drawn)) == 30


def test_draw_takes_other_negatives_in_another_epoch_and_the_same_for_the_same_seed():
    labels = np.zeros((100, 15), np.uint8)
    labels[:10, 4] = 1
    first, second = (BalancedDraw(labels, negatives_per_positive=2.0, seed=7) for _ in range(2))
    assert sorted(first.order(0)) != sorted(first.order(1))
    assert second.order(1).tolist() == first.order(1).tolist()


def test_batch_stacks_all_parts(prepared_cohort):
    dataset = SliceDataset([prepared_cohort.patient(prepared_cohort.patient_ids()[0])])
    batch = collate([dataset[0], dataset[1]])
    assert batch.images.shape == (2, 1, 64, 64)
    assert batch.labels.shape == (2, 15)
    assert batch.cells.shape == (2, 15, *CELL_GRID)
