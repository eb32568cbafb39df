# SPDX-License-Identifier: Apache-2.0
"""Whatever the storage, the same canonical slices, and no more memory than they need."""

import gzip
import hashlib
import tracemalloc

import numpy as np
import pytest

from aminet_runtime import volume as volume_module
from aminet_runtime.errors import AminetError, InputDamaged, InputMissing, InputUnsupported
from aminet_runtime.volume import Volume, slices_together

FORMATS = [
    (version, byte_order, name)
    for version in (1, 2)
    for byte_order in "<>"
    for name in ("CTA2regA.nii", "CTA2regA.nii.gz")
]


def read_hu(volume, walk=None):
    """All of a volume as float32 HU [Z, H, W], and the indices in the order of the walk."""
    hu = np.full(volume.shape, np.nan, np.float32)
    order = []
    for axial_slice in walk or volume.slices():
        volume.write_hu(axial_slice, hu[axial_slice.index])
        order.append(axial_slice.index)
    return hu, order


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_reads_all_48_storages_alike(form, stored_alike, small_hu, small_affine, tmp_path):
    version, byte_order, name = form
    for code, image in stored_alike(version=version, byte_order=byte_order).items():
        path = image.write(tmp_path / name)
        with Volume.open(path) as volume:
            assert volume.shape == (3, 7, 5)
            assert volume.spacing_mm == (0.5, 0.75, 1.25)
            assert volume.stored_orientation == code
            assert np.array_equal(volume.affine, small_affine)
            hu, order = read_hu(volume)
            assert np.array_equal(hu, small_hu), code
            assert order == ([2, 1, 0] if code.endswith("I") else [0, 1, 2])
            assert volume.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("unknown", ["qform_code", "sform_code"])
def test_one_of_the_two_transforms_is_enough(
    unknown, stored_alike, small_hu, small_affine, tmp_path
):
    for code, image in stored_alike(fields={unknown: 0}).items():
        with Volume.open(image.write(tmp_path / "CTA1.nii")) as volume:
            assert volume.stored_orientation == code
            assert np.allclose(volume.affine, small_affine, rtol=0, atol=1e-5)  # quaternion
            assert np.array_equal(read_hu(volume)[0], small_hu)


def test_walks_upward_when_asked_to(stored_alike, small_hu, tmp_path):
    for image in stored_alike().values():
        with Volume.open(image.write(tmp_path / "CTA1.nii.gz")) as volume:
            hu, order = read_hu(volume, volume.slices_upward())
            assert np.array_equal(hu, small_hu)
            assert order == [0, 1, 2]
            assert volume.sha256


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize(
    "scaling", [(1.0, 0.0), (0.0, 7.0), (1.0, -1024.0), (0.5, -1000.0), (-2.0, 3.0)]
)
@pytest.mark.parametrize("byte_order", "<>")
def test_scales_every_datatype(dtype, scaling, byte_order, nifti, tmp_path):
    slope, intercept = scaling
    stored = np.arange(60).reshape(5, 4, 3).astype(dtype)
    fields = {"scl_slope": slope, "scl_inter": intercept}
    image = nifti(voxels=stored, byte_order=byte_order, fields=fields)
    with Volume.open(image.write(tmp_path / "CTA1.nii")) as volume:
        hu, _ = read_hu(volume)
    expected = stored * (slope or 1.0) + (intercept if slope else 0.0)
    assert np.array_equal(hu.transpose(2, 1, 0), expected)  # all exact in float32


def test_scales_without_a_copy_into_any_strides(small_nifti, tmp_path):
    with Volume.open(small_nifti.write(tmp_path / "CTA1.nii")) as volume:
        tensor = np.zeros((2, 7, 10), np.float32)
        for axial_slice in volume.slices():
            volume.write_hu(axial_slice, tensor[1, :, ::2])
            assert np.array_equal(tensor[1, :, ::2], axial_slice.stored)
        assert not tensor[0].any()
        assert not tensor[:, :, 1::2].any()


def test_values_beyond_float32_become_infinite_without_a_warning(nifti, tmp_path):
    image = nifti(voxels=np.full((2, 2, 2), 1e300))
    with Volume.open(image.write(tmp_path / "CTA1.nii")) as volume:
        assert np.isinf(read_hu(volume)[0]).all()


def test_slices_share_one_buffer_that_cannot_be_written(small_nifti, tmp_path):
    with Volume.open(small_nifti.write(tmp_path / "CTA1.nii")) as volume:
        first, *others = list(volume.slices())
        assert all(np.shares_memory(first.stored, other.stored) for other in others)
        with pytest.raises(ValueError, match="read-only"):
            first.stored[0, 0] = 1


@pytest.mark.parametrize("slice_count", [8, 64])
def test_memory_does_not_grow_with_the_slices(slice_count, nifti, tmp_path):
    voxels = np.zeros((256, 256, slice_count), np.int16)
    path = nifti(voxels=voxels).write(tmp_path / "CTA1.nii.gz")
    hu = np.empty((256, 256), np.float32)
    tracemalloc.start()
    with Volume.open(path) as volume:
        for axial_slice in volume.slices():
            volume.write_hu(axial_slice, hu)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one_slice, chunk, inflated = 256 * 256 * 2, 128 * 1024, 512 * 1024
    assert peak_bytes < one_slice + chunk + 2 * inflated + 2**18


def test_the_end_is_verified_before_the_last_slice_is_handed_out(small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii.gz")
    path.write_bytes(path.read_bytes()[:-1])
    with Volume.open(path) as volume:
        slices = volume.slices()
        assert [next(slices).index, next(slices).index] == [0, 1]
        with pytest.raises(InputDamaged, match="cut off before its check sum"):
            next(slices)


def test_the_hash_is_known_with_the_last_slice(small_nifti, tmp_path):
    with Volume.open(small_nifti.write(tmp_path / "CTA1.nii.gz")) as volume:
        for axial_slice in volume.slices():
            if axial_slice.index < 2:
                with pytest.raises(ValueError, match="read to its end"):
                    _ = volume.sha256
            else:
                assert volume.sha256


@pytest.mark.parametrize("walk", ["slices", "slices_upward"])
def test_can_be_walked_through_once(walk, small_nifti, tmp_path):
    with Volume.open(small_nifti.write(tmp_path / "CTA1.nii")) as volume:
        list(volume.slices())
        with pytest.raises(ValueError, match="open it again"):
            getattr(volume, walk)()


def test_refuses_to_hold_too_much(monkeypatch, nifti, small_affine, tmp_path):
    sagittal = small_affine[:, [1, 2, 0, 3]]
    image = nifti(voxels=np.zeros((7, 3, 5), np.int16), affine=sagittal)
    monkeypatch.setattr(volume_module, "MAX_HELD_BYTES", 209)
    with Volume.open(image.write(tmp_path / "CTA1.nii")) as volume:
        with pytest.raises(InputUnsupported, match=r"stored as PSL .* has 210 bytes") as refusal:
            next(volume.slices())
        assert refusal.value.code == "E1230"
        assert refusal.value.path == volume.path


def test_what_cannot_be_opened_or_understood_is_refused(small_nifti, tmp_path):
    with pytest.raises(InputMissing):
        Volume.open(tmp_path / "CTA1.nii")
    path = small_nifti.with_fields(qform_code=0, sform_code=0).write(tmp_path / "CTA1.nii")
    with pytest.raises(InputUnsupported, match=r"CTA1.nii: the header does not say how"):
        Volume.open(str(path))


def test_a_sagittal_scan_that_ends_early_names_the_stored_slice(nifti, small_affine, tmp_path):
    image = nifti(voxels=np.zeros((7, 3, 5), np.int16), affine=small_affine[:, [1, 2, 0, 3]])
    path = tmp_path / "CTA1.nii.gz"
    path.write_bytes(gzip.compress(image.content()[:-43]))
    with Volume.open(path) as volume, pytest.raises(InputDamaged, match="ends at slice 4 of 5"):
        next(volume.slices())


@pytest.mark.parametrize("codes", [("LPS", "RAS"), ("LPI", "RAI"), ("LPS", "LPI"), ("PSL", "LPI")])
def test_walks_through_volumes_together(codes, stored_alike, small_hu, tmp_path):
    images = stored_alike()
    volumes = [
        Volume.open(images[code].write(tmp_path / f"CTA{number}.nii"))
        for number, code in enumerate(codes)
    ]
    indices = []
    for parts in slices_together(volumes):
        indices.append(parts[0].index)
        for part in parts:
            assert part.index == parts[0].index
            assert np.array_equal(part.stored, small_hu[part.index])
    for volume in volumes:
        assert volume.sha256
        volume.close()
    assert sorted(indices) == [0, 1, 2]


def test_volumes_of_different_length_do_not_walk_together(nifti, tmp_path):
    volumes = [
        Volume.open(
            nifti(voxels=np.zeros((2, 2, count), np.int16)).write(tmp_path / f"{count}.nii")
        )
        for count in (2, 3)
    ]
    with pytest.raises(ValueError, match="zip"):
        list(slices_together(volumes))
    for volume in volumes:
        volume.close()


# --- damage ---


def outcome(path):
    """What a reader gets: HU [Z, H, W], or None where the file is refused."""
    try:
        with Volume.open(path) as volume:
            hu, _ = read_hu(volume)
            assert volume.sha256
    except AminetError:
        return None
    return hu


@pytest.mark.parametrize("name", ["CTA1.nii", "CTA1.nii.gz"])
def test_refuses_a_file_cut_at_any_length(name, any_nifti, tmp_path):
    path = any_nifti.write(tmp_path / name)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert outcome(path) is None, length


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_in_a_gzip_file_changes_no_voxel_unnoticed(mask, small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii.gz")
    whole, expected = path.read_bytes(), outcome(path)
    assert expected is not None
    for position in range(len(whole)):
        path.write_bytes(flipped(whole, position, mask))
        got = outcome(path)
        assert got is None or np.array_equal(got, expected), position
    # what is not refused are the time stamp and codes of the deflate stream that nothing uses


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_in_a_plain_header_changes_no_voxel_unnoticed(mask, any_nifti, tmp_path):
    """All but the scaling is cross-checked; a plain file has no check sum for the rest."""
    path = any_nifti.write(tmp_path / "CTA1.nii")
    whole, expected = path.read_bytes(), outcome(path)
    assert expected is not None
    scaling = {1: range(112, 120), 2: range(176, 192)}[any_nifti.version]
    for position in range(len(any_nifti.head())):
        path.write_bytes(flipped(whole, position, mask))
        got = outcome(path)
        if position not in scaling:
            assert got is None or np.array_equal(got, expected), position


def flipped(raw, position, mask):
    changed = bytearray(raw)
    changed[position] ^= mask
    return bytes(changed)
