# SPDX-License-Identifier: Apache-2.0
"""Stored axes to canonical LPS, and the refusals where the orientation is in doubt."""

import math

import numpy as np
import pytest

from aminet_runtime.errors import InputUnsupported
from aminet_runtime.orientation import (
    MAX_OBLIQUITY_DEG,
    MAX_TRANSFORM_ANGLE_DEG,
    Orientation,
    known_affine,
)

SPACING = (0.5, 0.75, 1.25)


def turned(axis, degrees, *, spacing=SPACING):
    """LPS voxels, turned about a world axis."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    first, second = (other for other in range(3) if other != axis)
    rotation = np.eye(3)
    rotation[[first, first, second, second], [first, second, first, second]] = (cos, -sin, sin, cos)
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-1.0, -1.0, 1.0]) * np.array(spacing)
    return affine


def test_names_all_48_storages(storages, small_hu, small_affine):
    for storage in storages:
        _, affine = storage.store(small_hu, small_affine)
        assert Orientation.of(affine).code == storage.code


def test_views_all_48_storages_as_the_same_volume(storages, small_hu, small_affine):
    for storage in storages:
        voxels, affine = storage.store(small_hu, small_affine)
        orientation = Orientation.of(affine)
        canonical = orientation.canonical_view(voxels.transpose(2, 1, 0))
        assert np.array_equal(canonical, small_hu), storage
        assert np.shares_memory(canonical, voxels)
        assert orientation.canonical_shape(voxels.shape) == small_hu.shape


def test_gives_all_48_storages_the_same_affine_and_spacing(storages, small_hu, small_affine):
    for storage in storages:
        voxels, affine = storage.store(small_hu, small_affine)
        orientation = Orientation.of(affine)
        canonical = orientation.canonical_affine(affine, shape=voxels.shape)
        # only additions of multiples of 0.25: exact
        assert np.array_equal(canonical, small_affine), storage
        stored_spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0))
        assert orientation.canonical_spacing(stored_spacing) == SPACING


def test_streams_only_what_is_stored_axially(storages, small_hu, small_affine):
    orientations = {s: Orientation.of(s.store(small_hu, small_affine)[1]) for s in storages}
    for storage, orientation in orientations.items():
        assert orientation.is_axial == (storage.axes[2] == 2)
        assert orientation.runs_upward == ("S" in storage.code)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("degrees", [-30, -5, 0.2, 10, 30])
def test_accepts_a_tilted_gantry(axis, degrees):
    affine = known_affine(qform=None, sform=turned(axis, degrees), spacing_mm=SPACING)
    assert Orientation.of(affine).code == "LPS"


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("name", ["qform", "sform"])
def test_refuses_oblique_slices(axis, name):
    forms = {"qform": None, "sform": None, name: turned(axis, MAX_OBLIQUITY_DEG + 2)}
    with pytest.raises(InputUnsupported, match=f"the {name} is oblique: .* 37 degrees") as refusal:
        known_affine(**forms, spacing_mm=SPACING)
    assert refusal.value.code == "E1224"


def test_prefers_the_sform():
    qform, sform = turned(0, 3), turned(0, 5)
    assert known_affine(qform=qform, sform=sform, spacing_mm=SPACING) is sform
    assert known_affine(qform=qform, sform=None, spacing_mm=SPACING) is qform


def test_refuses_a_header_without_orientation():
    with pytest.raises(InputUnsupported, match=r"codes are both 0.*dcm2niix") as refusal:
        known_affine(qform=None, sform=None, spacing_mm=SPACING)
    assert refusal.value.code == "E1220"


@pytest.mark.parametrize("column", range(3))
def test_refuses_transforms_that_contradict_each_other(column):
    mirrored = turned(0, 0)
    mirrored[:, column] *= -1
    with pytest.raises(InputUnsupported, match="qform says LPS, but the sform says") as refusal:
        known_affine(qform=turned(0, 0), sform=mirrored, spacing_mm=SPACING)
    assert refusal.value.code == "E1225"


def test_refuses_transforms_that_are_turned_against_each_other():
    apart = MAX_TRANSFORM_ANGLE_DEG + 3
    with pytest.raises(InputUnsupported, match="turned by 18 degrees") as refusal:
        known_affine(qform=turned(1, 0), sform=turned(1, apart), spacing_mm=SPACING)
    assert refusal.value.code == "E1226"


def test_accepts_transforms_with_different_origins():
    moved = turned(0, 2)
    moved[:3, 3] = (5, -40, 1000)
    assert known_affine(qform=turned(0, 0), sform=moved, spacing_mm=SPACING) is moved


@pytest.mark.parametrize("factor", [0.0, 0.98, 1.02, -2.0])
def test_refuses_voxels_of_another_size_than_stated(factor):
    affine = turned(0, 0)
    affine[:, 1] *= factor
    with pytest.raises(InputUnsupported, match=r"but pixdim says 0.5 x 0.75 x 1.25 mm") as refusal:
        known_affine(qform=None, sform=affine, spacing_mm=SPACING)
    assert refusal.value.code == "E1222"


def test_refuses_sheared_voxels():
    affine = turned(0, 0)
    tilt = math.radians(4)
    affine[:3, 2] = np.array([0, math.sin(tilt), math.cos(tilt)]) * SPACING[2]
    with pytest.raises(InputUnsupported, match=r"4.0 degrees off the right angle") as refusal:
        known_affine(qform=None, sform=affine, spacing_mm=SPACING)
    assert refusal.value.code == "E1223"


def test_refuses_two_axes_that_run_alike():
    affine = turned(0, 0, spacing=(1, 1, 1))
    affine[:, 1] = affine[:, 0]
    with pytest.raises(InputUnsupported, match=r"90.0 degrees off the right angle"):
        known_affine(qform=None, sform=affine, spacing_mm=(1, 1, 1))
