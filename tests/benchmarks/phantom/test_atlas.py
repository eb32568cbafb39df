# SPDX-License-Identifier: Apache-2.0
import numpy as np

from aminet_benchmarks.phantom.atlas import REGION_MIRROR, REGION_NAMES
from aminet_benchmarks.phantom.vessels import Segment


def atlas_of(patient):
    return np.stack([patient.renderer.atlas(z) for z in range(patient.grid.shape[2])])


def region_at(patient, head_mm):
    """Look up the region at points [N, 3] of the head frame."""
    pose = patient.renderer.model.pose
    column, row, height = np.rint(patient.grid.to_index(pose.to_scanner(head_mm))).astype(int).T
    inside = (height >= 0) & (height < patient.grid.shape[2])
    return atlas_of(patient)[height[inside], row[inside], column[inside]]


def test_all_regions_are_there(patient):
    assert set(np.unique(atlas_of(patient))) == set(range(15))


def test_mirror_swaps_right_and_left():
    for index, mirror in enumerate(REGION_MIRROR):
        assert REGION_MIRROR[mirror] == index
        swapped = REGION_NAMES[index].replace("right", "?").replace("left", "right")
        assert swapped.replace("?", "left") == REGION_NAMES[mirror]


def test_right_regions_lie_on_the_patients_right(patient):
    """Columns run from right to left, so the right side has the low columns."""
    atlas = atlas_of(patient)
    for region, name in enumerate(REGION_NAMES):
        if name.startswith("right"):
            right = np.flatnonzero((atlas == region).any(axis=(0, 1))).mean()
            left = np.flatnonzero((atlas == REGION_MIRROR[region]).any(axis=(0, 1))).mean()
            assert right < left, name


def test_air_belongs_to_no_territory(patient):
    atlas = atlas_of(patient)

    assert (atlas[:, 0, 0] == 0).all()
    assert (atlas[-1] == 0).mean() > 0.9


def test_vessels_lie_in_their_territories(patient):
    """The template covers the named vessels of a patient whom it does not know."""
    graph = patient.anatomy.vessels
    expected = {
        Segment.M1: {"MCA stem and deep", "carotid terminus"},
        Segment.A3: {"ACA", "MCA superior"},
        Segment.P3: {"PCA", "MCA inferior", "posterior fossa"},
        Segment.BASILAR: {"posterior fossa", "PCA", "carotid terminus"},
    }
    for segment, names in expected.items():
        regions = region_at(patient, graph.points_mm[graph.segment == segment])
        fits = [any(name in REGION_NAMES[region] for name in names) for region in regions]
        assert np.mean(fits) > 0.75, segment.name


def test_atlas_knows_nothing_of_the_patients_clot(draw):
    np.testing.assert_array_equal(atlas_of(draw()), atlas_of(draw(twin="none")))
