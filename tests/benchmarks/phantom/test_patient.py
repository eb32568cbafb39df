# SPDX-License-Identifier: Apache-2.0
import hashlib

import numpy as np
import pytest

from aminet_benchmarks.phantom import make_patient, preset_config
from aminet_benchmarks.phantom.anatomy import GrownAnatomy
from aminet_benchmarks.phantom.tissue_hu import AIR_HU


def fingerprint(patient):
    digest = hashlib.sha256()
    for rendered in patient.slices():
        for array in (rendered.phases, rendered.atlas, rendered.clot, rendered.spiral):
            digest.update(array.tobytes())
    return digest.hexdigest()


def test_same_seed_gives_the_same_voxels(patient, config):
    assert fingerprint(make_patient(patient.seed, config)) == fingerprint(patient)


def test_other_seed_gives_other_voxels(draw):
    assert fingerprint(draw(4)) != fingerprint(draw(5))


def test_slices_do_not_depend_on_what_was_rendered_before(patient, config):
    fresh = make_patient(patient.seed, config)
    last = [s for s in patient.slices() if s.index == 30][0]  # noqa: RUF015 - all are rendered

    only = fresh.slice(30)

    np.testing.assert_array_equal(only.phases, last.phases)
    np.testing.assert_array_equal(only.spiral, last.spiral)


def test_phases_come_in_the_order_wanted(patient):
    whole = patient.slice(25)

    some = patient.slice(25, phases=(3, 1), spiral=False)

    np.testing.assert_array_equal(some.phases, whole.phases[[2, 0]])
    assert some.spiral is None


def test_shapes_and_types_are_canonical(patient):
    columns, rows, _ = patient.grid.shape
    rendered = patient.slice(20)

    assert rendered.phases.shape == (3, rows, columns)
    assert rendered.phases.dtype == np.float32
    assert rendered.atlas.shape == rendered.clot.shape == (rows, columns)
    assert rendered.atlas.dtype == rendered.clot.dtype == np.uint8
    assert rendered.spiral.dtype == np.float32


def test_rejects_slices_and_phases_that_are_not_there(patient):
    with pytest.raises(IndexError, match="slice 48 is not one of the patient's 0 to 47"):
        patient.slice(48)
    with pytest.raises(ValueError, match="not out of 1, 2, 3"):
        patient.slice(3, phases=(0,))


def test_labels_are_counted_from_the_voxels(patient):
    expected = np.zeros((48, 15), np.uint8)
    for rendered in patient.slices(spiral=False, phases=()):
        expected[rendered.index, rendered.atlas[rendered.clot > 0]] = 1

    np.testing.assert_array_equal(patient.labels, expected)
    assert expected.any(axis=0).sum() >= 2


def test_hu_are_those_of_a_head_ct(patient):
    volume = np.stack([s.phases[0] for s in patient.slices(spiral=False, phases=(1,))])

    assert volume.min() >= -1024
    assert volume.max() <= 3071
    np.testing.assert_array_equal(volume, np.rint(volume))
    assert np.median(volume[:, 0, 0]) == pytest.approx(AIR_HU, abs=5)
    assert 0.03 < (volume > 500).mean() < 0.25  # bone
    assert 0.1 < ((volume > 0) & (volume < 80)).mean() < 0.5  # soft parts and brain


def test_spiral_map_is_blank_or_above_a_half(patient):
    spiral = np.stack([s.spiral for s in patient.slices(phases=())])

    marked = spiral[spiral > 0]
    assert 0 < len(marked) < 0.3 * spiral.size
    assert marked.min() >= 0.4999
    assert marked.max() <= 1.0


def test_patient_without_clots_has_empty_truth(draw):
    twin = draw(twin="none")

    assert twin.clots == ()
    assert not twin.labels.any()
    assert len(twin.renderer.clot_slices()) == 0
    assert not twin.slice(20, phases=(), spiral=False).clot.any()


def test_any_anatomy_that_keeps_the_protocol_can_be_scanned(patient, config):
    """A head from elsewhere: here that of another seed."""
    other = make_patient(11, config).anatomy
    assert isinstance(other, GrownAnatomy)

    scanned = make_patient(patient.seed, config, anatomy=other)

    assert scanned.anatomy is other
    assert scanned.slice(20).phases.shape == patient.slice(20).phases.shape
    assert not np.array_equal(scanned.slice(20).phases, patient.slice(20).phases)


@pytest.mark.parametrize("shape", [(32, 32, 8), (65, 96, 33), (200, 120, 20)])
def test_any_shape_renders(shape):
    patient = make_patient(1, preset_config("hard", shape=shape))

    rendered = patient.slice(shape[2] // 2)

    assert rendered.phases.shape == (3, shape[1], shape[0])
    assert np.isfinite(rendered.phases).all()
    assert patient.labels.shape == (shape[2], 15)
