# SPDX-License-Identifier: Apache-2.0
"""What nibabel writes is read as nibabel reads it."""

import struct

import numpy as np
import pytest

pytest.importorskip("nibabel", reason="the oracle; the runtime does not need it")
pytest.importorskip("hypothesis", reason="draws the cases")

import nibabel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from aminet_runtime.errors import AminetError, InputDamaged, InputUnsupported
from aminet_runtime.nifti import QUATERNION_ROUNDING, parse_header
from aminet_runtime.orientation import Orientation
from aminet_runtime.volume import Volume

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
IMAGES = {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}
HEADERS = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}
SLOW_DISK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def affines(draw):
    """Any storage orientation, tilted by up to 10 degrees about each axis."""
    axes = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    spacing = draw(st.tuples(*[st.floats(0.1, 9.0)] * 3))
    angles = np.radians(draw(st.tuples(*[st.floats(-10.0, 10.0)] * 3)))
    affine = np.eye(4)
    affine[:3, :3] = nibabel.eulerangles.euler2mat(*angles) @ np.eye(3)[:, list(axes)]
    affine[:3, :3] *= np.array(signs) * np.array(spacing)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500.0, 500.0)] * 3))
    return affine


@st.composite
def headers(draw):
    version = draw(st.sampled_from([1, 2]))
    header = HEADERS[version](endianness=draw(st.sampled_from("<>")))
    header.set_data_dtype(draw(st.sampled_from(DTYPES)))
    header.set_data_shape(draw(st.tuples(*[st.integers(1, 600)] * 3)))
    affine = draw(affines())
    codes = draw(st.sampled_from([(1, 0), (0, 2), (1, 1), (3, 4)]))
    header.set_qform(affine, codes[0])
    header.set_sform(affine, codes[1])
    header.set_slope_inter(draw(st.floats(1e-3, 1e3)), draw(st.floats(-2000, 2000)))
    header["magic"] = header.single_magic
    header["vox_offset"] = header.single_vox_offset + 16 * draw(st.integers(0, 100))
    return version, header


def half_turn_rounding(oracle):
    """Return how far rotations may differ where the fourth component is within its rounding.

    It is the root of what three squares leave of 1; below `QUATERNION_ROUNDING` we take it for 0.
    nibabel does so for the float32 of NIfTI-1, but keeps it for the float64 of NIfTI-2.
    """
    squares = sum(float(oracle[f"quatern_{axis}"]) ** 2 for axis in "bcd")
    return 2 * QUATERNION_ROUNDING**0.5 if squares > 1 - 2 * QUATERNION_ROUNDING else 0.0


@given(headers())
def test_reads_headers_as_nibabel_does(version_and_header):
    version, oracle = version_and_header
    header = parse_header(oracle.binaryblock)
    assert header.version == version
    assert header.shape == oracle.get_data_shape()
    assert header.dtype == oracle.get_data_dtype()
    assert (header.slope, header.intercept) == oracle.get_slope_inter()
    assert header.data_offset == oracle.get_data_offset()
    # float32 quaternions: three squares are rounded, relative 1e-6 on coordinates below 1e4 mm
    atol = 1e-5 + half_turn_rounding(oracle) * max(oracle.get_zooms())
    np.testing.assert_allclose(header.affine, oracle.get_best_affine(), rtol=1e-5, atol=atol)
    np.testing.assert_allclose(header.spacing_mm, oracle.get_zooms(), atol=1e-6)
    code = "".join(nibabel.aff2axcodes(oracle.get_best_affine()))
    assert Orientation.of(header.affine).code == code


@given(headers(), st.data())
def test_a_damaged_header_is_read_as_another_or_refused(version_and_header, data):
    raw = bytearray(version_and_header[1].binaryblock)
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = parse_header(bytes(raw))
    except (InputDamaged, InputUnsupported):
        return
    assert header.data_bytes > 0
    assert np.isfinite(header.affine).all()


@given(st.binary(max_size=600))
def test_arbitrary_bytes_are_refused(raw):
    with pytest.raises(AminetError):
        parse_header(raw)


@SLOW_DISK
@given(
    voxels=st_numpy.arrays(st.sampled_from(DTYPES), st.tuples(*[st.integers(1, 6)] * 3)),
    affine=affines(),
    version=st.sampled_from([1, 2]),
    name=st.sampled_from(["CTA1.nii", "CTA1.nii.gz"]),
)
def test_reads_volumes_as_nibabel_does(voxels, affine, version, name, tmp_path):
    image = IMAGES[version](voxels, affine, dtype=voxels.dtype)
    image.set_qform(affine, 1)
    nibabel.save(image, tmp_path / name)
    with Volume.open(tmp_path / name) as volume:
        slices = {part.index: part.stored.copy() for part in volume.slices()}
        canonical = np.stack([slices[index] for index in range(volume.shape[0])])
        canonical_affine = volume.affine
    oracle = nibabel.load(tmp_path / name)
    oracle_voxels, oracle_affine = in_lps(oracle)
    np.testing.assert_array_equal(canonical.transpose(2, 1, 0), oracle_voxels)
    # float32 headers on coordinates below 600 mm; at most six voxels along an axis
    atol = 1e-3 + 6 * half_turn_rounding(oracle.header) * max(oracle.header.get_zooms())
    np.testing.assert_allclose(canonical_affine, oracle_affine, rtol=0, atol=atol)


def in_lps(image):
    """Reorient with nibabel: stored voxels as [x, y, z] in LPS, and their affine."""
    orientations = nibabel.orientations
    stored = orientations.io_orientation(image.affine)
    turn = orientations.ornt_transform(stored, orientations.axcodes2ornt("LPS"))
    voxels = orientations.apply_orientation(image.dataobj.get_unscaled(), turn)
    return voxels, image.affine @ orientations.inv_ornt_aff(turn, image.shape)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("byte_order", "<>")
def test_nibabel_reads_what_the_tests_write(version, byte_order, nifti, small_nifti, tmp_path):
    image = nifti(
        voxels=small_nifti.voxels,
        affine=small_nifti.affine,
        version=version,
        byte_order=byte_order,
        extension=struct.pack(byte_order + "ii", 16, 6) + b"Doe^John",
        fields={"scl_slope": 2.0, "scl_inter": -5.0},
    )
    image = nibabel.load(image.write(tmp_path / "CTA1.nii.gz"))
    np.testing.assert_array_equal(image.get_fdata(), small_nifti.voxels * 2.0 - 5.0)
    np.testing.assert_array_equal(image.get_sform(), small_nifti.affine)
    np.testing.assert_allclose(image.get_qform(), small_nifti.affine, atol=1e-6)
