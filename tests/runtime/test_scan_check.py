# SPDX-License-Identifier: Apache-2.0
"""A head CT in HU is let pass, whatever is around it; all else is refused and named."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aminet_runtime.errors import InputUnsuitable
from aminet_runtime.nifti import NiftiHeader
from aminet_runtime.scan_check import ScanCheck
from aminet_runtime.volume import Volume

SPACING_MM = (2.4, 2.4, 5.0)  # of `head_hu`


@dataclass
class FakeScan:
    """What the check asks about a volume."""

    shape: tuple
    spacing_mm: tuple = SPACING_MM
    dtype: str = "<i2"
    slope: float = 1.0
    intercept: float = 0.0
    path: Path = Path("379/CTA2regA.nii.gz")

    @property
    def header(self):
        return NiftiHeader(
            version=1,
            shape=self.shape[::-1],
            dtype=np.dtype(self.dtype),
            slope=self.slope,
            intercept=self.intercept,
            affine=np.eye(4),
            spacing_mm=self.spacing_mm,
            data_offset=352,
        )


def judge(voxels, **scan):
    """Add all slices of [Z, H, W], and verify."""
    check = ScanCheck(FakeScan(shape=voxels.shape, **scan))
    for axial_slice in voxels:
        check.add(axial_slice)
    return check.verify()


def ellipse(shape, *, spacing_mm=SPACING_MM, radii_mm, centre_mm=(0.0, 0.0)):
    """Samples [H, W] inside of an ellipse around the middle of the slice."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    x_mm = (x - shape[1] / 2) * spacing_mm[0] - centre_mm[0]
    y_mm = (y - shape[0] / 2) * spacing_mm[1] - centre_mm[1]
    return (x_mm / radii_mm[0]) ** 2 + (y_mm / radii_mm[1]) ** 2 < 1


@pytest.fixture
def noise():
    return np.random.default_rng(5).normal(0, 10, (96, 96))


@pytest.fixture
def chest_slice(noise):
    """A chest on a grid of 4 mm, as [H, W]: 34 x 22 cm, two lungs, a spine, ribs."""
    outline = {"spacing_mm": (4.0, 4.0)}
    hu = np.full((96, 96), -1000.0)
    hu[ellipse(hu.shape, radii_mm=(170, 110), **outline)] = 50
    hu[ellipse(hu.shape, radii_mm=(150, 95), **outline)] = 300  # ribs
    hu[ellipse(hu.shape, radii_mm=(146, 91), **outline)] = 60
    for side in (-1, 1):
        lung = ellipse(hu.shape, radii_mm=(60, 80), centre_mm=(side * 75, 0), **outline)
        hu[lung] = -800
    hu[ellipse(hu.shape, radii_mm=(20, 20), centre_mm=(0, 75), **outline)] = 900
    return (hu + noise).astype(np.int16)


# --- heads ---


def test_lets_a_head_pass_with_its_figures(head_hu):
    quality = judge(head_hu)
    assert quality.field_of_view_mm == pytest.approx((230.4, 230.4))
    assert quality.length_mm == pytest.approx(180.0)
    lowest, highest = quality.range_hu
    assert -1100 < lowest < -1000
    assert 1000 < highest < 1300
    assert 0.4 < quality.air_share < 0.8
    assert 0.1 < quality.bone_share < 0.3
    assert 0.6 < quality.soft_tissue_share < 0.9
    assert quality.soft_tissue_hu == pytest.approx(36, abs=2)  # the brain
    # the largest slice is the scalp's ellipse, on a raster of 5 mm
    assert quality.cross_section_cm2 == pytest.approx(np.pi * 7.8 * 9.5, rel=0.02)
    assert quality.chest_share == 0.0


def test_lets_a_volume_pass_as_it_streams(head_hu, write_scan, tmp_path):
    with Volume.open(write_scan(tmp_path / "CTA2regA.nii.gz", head_hu)) as volume:
        check = ScanCheck(volume)
        for axial_slice in volume.slices():
            check.add(axial_slice)
    assert check.verify() == judge(head_hu)


def test_stored_values_and_hu_give_the_same_figures(head_hu, write_scan, tmp_path):
    stored = (head_hu.astype(np.int32) + 1024) * 2
    fields = {"scl_slope": 0.5, "scl_inter": -1024.0}
    path = write_scan(tmp_path / "CTA2regA.nii.gz", stored.astype(np.uint16), **fields)
    with Volume.open(path) as volume:
        as_slices, as_arrays, as_hu = (ScanCheck(volume) for _ in range(3))
        hu = np.empty(volume.shape[1:], np.float32)
        for axial_slice in volume.slices():
            volume.write_hu(axial_slice, hu)
            as_slices.add(axial_slice)
            as_arrays.add(axial_slice.stored)
            as_hu.add(hu)
    expected = judge(head_hu)
    assert as_slices.verify() == as_arrays.verify() == as_hu.verify() == expected


def test_the_order_of_the_slices_does_not_matter(head_hu):
    assert judge(head_hu[::-1]) == judge(head_hu)


def with_table_and_holder(hu):
    y, x = np.ogrid[:96, :96]
    shell = ((x - 48) / 40.0) ** 2 + ((y - 48) / 45.0) ** 2
    hu[:, (shell > 0.95) & (shell < 1.0) & (y > 48)] = 60  # head rest
    hu[:, (shell > 0.82) & (shell <= 0.95) & (y > 48)] = -880  # its foam
    hu[:, 92:95, 10:86] = -150  # table top


def with_metal(hu):
    hu[10:14, 40:56, 60:66] = 3071
    hu[10:14, 44, 10:90] = -1024  # streaks
    hu[10:14, 46, 10:90] += 600


def with_padding_outside_of_the_circle(hu):
    hu[:, ~ellipse(hu.shape[1:], radii_mm=(115, 115))] = -3024


def filled_in_with_zeros(hu):
    hu[:, :, 84:] = 0
    hu[:, :14] = 0
    hu[:3] = 0


def with_contrast(hu):
    hu[:, 30:66:6, 40:44] = np.where(hu[:, 30:66:6, 40:44] > 0, 450, -1000)


def blurred_by_thick_slices(hu):
    hu[hu > 600] = 400


def with_much_noise(hu):
    hu += np.random.default_rng(3).normal(0, 40, hu.shape).astype(np.int16)


@pytest.mark.parametrize(
    "change",
    [
        with_table_and_holder,
        with_metal,
        with_padding_outside_of_the_circle,
        filled_in_with_zeros,
        with_contrast,
        blurred_by_thick_slices,
        with_much_noise,
    ],
)
def test_lets_a_head_pass(change, head_hu):
    scan = head_hu.copy()
    change(scan)
    judge(scan)


def test_lets_a_slab_of_the_brain_pass(head_hu):
    judge(head_hu[16:23])  # 35 mm


def test_lets_a_small_head_pass(head_hu):
    judge(head_hu, spacing_mm=(1.3, 1.3, 3.0))


def test_lets_a_head_with_the_upper_chest_pass(head_hu, chest_slice):
    """From the aortic arch to the vertex, a third of it chest."""
    head = np.full((34, 96, 96), -1000, np.int16)
    head[:, 20:76, 20:76] = head_hu[:34, 8:88, 8:88][:, ::10, ::10].repeat(7, 1).repeat(7, 2)
    scan = np.concatenate([np.stack([chest_slice] * 16), head])
    quality = judge(scan, spacing_mm=(4.0, 4.0, 7.0))
    assert 0.25 < quality.chest_share < 0.5


# --- the size ---


@pytest.mark.parametrize(
    ("spacing_mm", "message"),
    [
        ((1.2, 2.4, 5.0), "field of view is 115 x 230 mm, a head scan has 120 to 400 mm; check"),
        ((2.4, 1.2, 5.0), "field of view is 230 x 115 mm"),
        ((4.2, 2.4, 5.0), "field of view is 403 x 230 mm"),
        ((2.4, 5.0, 5.0), "field of view is 230 x 480 mm"),
    ],
)
def test_refuses_another_field_of_view_before_reading(spacing_mm, message, head_hu):
    with pytest.raises(InputUnsuitable, match=message) as refusal:
        ScanCheck(FakeScan(shape=head_hu.shape, spacing_mm=spacing_mm))
    assert refusal.value.code == "E1401"
    assert refusal.value.path == Path("379/CTA2regA.nii.gz")


@pytest.mark.parametrize(("z_mm", "length"), [(0.5, "18"), (14.0, "504")])
def test_refuses_another_length_before_reading(z_mm, length, head_hu):
    with pytest.raises(InputUnsuitable, match=f"{length} mm long, a head scan has 30") as refusal:
        ScanCheck(FakeScan(shape=head_hu.shape, spacing_mm=(2.4, 2.4, z_mm)))
    assert refusal.value.code == "E1402"


# --- the values ---


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_a_single_voxel_that_is_not_finite(value, head_hu):
    scan = head_hu.astype(np.float32)
    scan[20, 33, 77] = value  # between the samples
    with pytest.raises(InputUnsuitable, match="voxels that are not finite numbers") as refusal:
        judge(scan, dtype="<f4")
    assert refusal.value.code == "E1403"


@pytest.mark.parametrize(
    ("value", "scaling"),
    [(1e300, {}), (-1e39, {}), (1e36, {"slope": 1000.0}), (-1e36, {"slope": -1000.0})],
)
def test_refuses_a_single_voxel_that_float32_cannot_hold(value, scaling, head_hu):
    scan = head_hu.astype(np.float64)
    scan[20, 33, 77] = value
    with pytest.raises(InputUnsuitable, match="not finite numbers in float32") as refusal:
        judge(scan, dtype="<f8", **scaling)
    assert refusal.value.code == "E1403"


@pytest.mark.parametrize("value", [0, -1000, 40])
def test_refuses_a_constant_scan(value, head_hu):
    with pytest.raises(InputUnsuitable, match=f"all voxels are {value}; the export") as refusal:
        judge(np.full_like(head_hu, value))
    assert refusal.value.code == "E1404"


def normalised(hu):
    return ((hu.astype(np.float32) + 1024) / 4095).clip(0, 1)


def normalised_around_zero(hu):
    return normalised(hu) * 2 - 1


def windowed_to_a_byte(hu):
    return ((hu.astype(np.float32) + 160) * 255 / 400).clip(0, 255).round()


def windowed_to_hu(hu):
    return hu.clip(-160, 240).astype(np.float32)


def unsigned(hu):
    return (hu.astype(np.float32) + 1024).clip(0, 4095)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (normalised, r"normalised to 0\.\.1"),
        (normalised_around_zero, r"normalised to 0\.\.1"),
        (windowed_to_a_byte, r"windowed to 0\.\.255"),
        (windowed_to_hu, "looks windowed; export the HU"),
        (unsigned, "CT values offset by 1024; subtract 1024"),
        (lambda hu: hu * np.float32(0.5), "converted from DICOM with its HU"),
    ],
)
def test_names_what_was_done_to_the_hu(change, hint, head_hu):
    scan = change(head_hu)
    with pytest.raises(InputUnsuitable, match=r"are not HU: \d\.\d% of them are air") as refusal:
        judge(scan, dtype="<f4")
    assert refusal.value.code == "E1405"
    seen = scan[:, ::2, ::2]  # the raster of a slice of 96 x 96
    assert f"values {seen.min():g} to {seen.max():g}" in refusal.value.message
    with pytest.raises(InputUnsuitable, match=hint):
        judge(scan, dtype="<f4")


def test_takes_an_offset_in_the_header_into_account(head_hu):
    stored = (head_hu.astype(np.int32) + 1024).astype(np.uint16)
    judge(stored, dtype="<u2", intercept=-1024.0)
    with pytest.raises(InputUnsuitable, match="offset by 1024"):
        judge(stored, dtype="<u2")


def test_refuses_a_scan_without_bone(head_hu):
    with pytest.raises(InputUnsuitable, match=r"0\.0% of the body is bone .* has 2% to 50%") as no:
        judge(np.where(head_hu > 100, 40, head_hu))
    assert no.value.code == "E1406"


def test_refuses_a_scan_with_its_bone_clipped(head_hu):
    with pytest.raises(InputUnsuitable, match=r"above 300 HU, the highest value is 250"):
        judge(head_hu.clip(-1024, 250))


def test_refuses_a_bone(head_hu):
    with pytest.raises(InputUnsuitable, match="100.0% of the body is bone".replace(".", r"\.")):
        judge(np.where(head_hu > 300, head_hu, -1000))


def test_refuses_a_scan_without_soft_tissue(head_hu):
    fat = np.where((head_hu > -200) & (head_hu < 200), head_hu - 130, head_hu)
    with pytest.raises(InputUnsuitable, match=r"soft tissue \(1 to 100 HU\), .* 20%") as refusal:
        judge(fat)
    assert refusal.value.code == "E1407"


# --- no head ---


def test_refuses_what_is_smaller_than_a_head(head_hu):
    small = np.full_like(head_hu, -1000)
    small[:, 36:60, 36:60] = head_hu[:, ::4, ::4]
    message = r"largest slice through the body has 1\d cm2, a head has at least 50; check"
    with pytest.raises(InputUnsuitable, match=message) as refusal:
        judge(small)
    assert refusal.value.code == "E1408"


def test_refuses_a_chest(chest_slice):
    message = r"100% of the slices look like a chest or a belly .* 50% are allowed; check"
    with pytest.raises(InputUnsuitable, match=message) as refusal:
        judge(np.stack([chest_slice] * 40), spacing_mm=(4.0, 4.0, 7.0))
    assert refusal.value.code == "E1409"


def test_refuses_a_chest_that_fills_the_field_of_view(chest_slice):
    """As in a scan of the heart: the outline is outside, and the lungs run out of the picture."""
    inner = np.stack([chest_slice[24:72, 18:78]] * 40)
    inner[:, 20:24, 28:32] = -1000  # trachea
    with pytest.raises(InputUnsuitable, match="100% of the slices look like a chest") as refusal:
        judge(inner, spacing_mm=(4.0, 4.0, 7.0))
    assert refusal.value.code == "E1409"


def test_refuses_a_belly(noise):
    hu = np.full((96, 96), -1000.0)
    hu[ellipse(hu.shape, spacing_mm=(4.0, 4.0), radii_mm=(170, 120))] = -90
    hu[ellipse(hu.shape, spacing_mm=(4.0, 4.0), radii_mm=(150, 100))] = 60
    hu[ellipse(hu.shape, spacing_mm=(4.0, 4.0), radii_mm=(35, 35), centre_mm=(0, 60))] = 700
    belly = np.stack([(hu + noise).astype(np.int16)] * 40)
    with pytest.raises(InputUnsuitable, match="larger than 450 cm2; the largest has 6") as refusal:
        judge(belly, spacing_mm=(4.0, 4.0, 7.0))
    assert refusal.value.code == "E1409"


def test_nothing_can_be_said_without_a_slice(head_hu):
    with pytest.raises(ValueError, match="no slice was added"):
        ScanCheck(FakeScan(shape=head_hu.shape)).verify()
