# SPDX-License-Identifier: Apache-2.0
"""A network that looks at several channels and at neighbouring slices goes the same way."""

from dataclasses import replace

import numpy as np
import pytest

from aminet_export.slices import CachedImages, cached_slice_hu, folder_slices
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig
from aminet_train.slice_window import SliceWindow

SLAB = SliceWindow(size=3, slab=True)


@pytest.fixture
def preprocessing():
    config = PreprocessingConfig.from_preset("cta", size_px=(64, 64))
    return Preprocessing(config, SLAB)


def test_cached_slices_bring_their_neighbours(workshop, preprocessing):
    cohort = PreparedCohort.open(workshop.root / "prepared")
    patient = cohort.patient("p0")

    planes = cached_slice_hu(patient, 4, preprocessing)
    alone = [
        cached_slice_hu(patient, number, Preprocessing(cohort.preprocessing))
        for number in (3, 4, 5)
    ]

    np.testing.assert_array_equal(planes, np.concatenate(alone, axis=1))


def test_all_cached_slices_are_those_that_come_one_by_one(workshop, preprocessing):
    patient = PreparedCohort.open(workshop.root / "prepared").patient("p0")
    shown = CachedImages(preprocessing, planes=3)

    slices_hu = list(shown.all_slices_hu(patient))

    assert len(slices_hu) == patient.slice_count
    for number, part in enumerate(slices_hu):
        np.testing.assert_array_equal(part, shown.slice_hu(patient, number))


def test_folder_slices_bring_their_neighbours(workshop):
    config = PreprocessingConfig.from_preset("cta")

    def slices(window):
        return {
            part.index: part.slices_hu[0].copy()
            for part in folder_slices(workshop.patient, config, window)
        }

    single, three = slices(replace(SLAB, size=1)), slices(SLAB)

    assert set(single) == set(three) == set(range(9))
    np.testing.assert_array_equal(three[4], np.concatenate([single[3], single[4], single[5]]))
    np.testing.assert_array_equal(three[0][0], single[0][0])  # beyond the end the last repeats
