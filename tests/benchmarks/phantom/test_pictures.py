# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from PIL import Image

from aminet_benchmarks.phantom import cli, make_patient, preset_config
from aminet_benchmarks.phantom.pictures.colours import (
    CLOT_RGB,
    grey,
    with_change,
    with_clot,
    with_map,
    with_regions,
)
from aminet_benchmarks.phantom.pictures.views import (
    coronal_mip,
    slices_between,
    views_of,
    without_bone,
)
from aminet_benchmarks.phantom.twins import TwinSlice

TINY = ["--shape", "64", "64", "16"]


@pytest.fixture(scope="module")
def views(patient):
    return views_of(patient)


def test_bone_goes_and_vessels_stay(patient):
    index = patient.renderer.clot_slices()[0]
    plane = patient.slice(index, phases=(1,), spiral=False).phases[0]

    bare = without_bone(patient, index, (1,))[0]

    assert plane.max() > 1000
    assert 200 < bare.max() < 0.8 * plane.max()  # a vessel within bone keeps a share of it
    kept = bare != 0
    np.testing.assert_array_equal(bare[kept], plane[kept])


def test_arteries_are_brightest_in_phase_1_of_the_mip(views):
    brightest = [np.quantile(mip, 0.999) for mip in views.axial]

    assert brightest[0] > brightest[1] > brightest[2] > 50


def test_vertex_is_at_the_top_of_the_coronal_mip(patient):
    mip = coronal_mip(patient)

    brain = (mip != 0).sum(axis=1)
    assert brain[0] == 0  # air above the head
    assert brain[len(brain) // 2] > brain[2]


def test_few_rows_have_a_coronal_mip_too():
    flat = make_patient(0, preset_config("report", shape=(96, 32, 24)))

    assert coronal_mip(flat).shape == (12, 96)


def test_clots_are_all_seen(views, patient):
    seen = {k for k in range(48) if (patient.renderer.clot(k) > 0).any()}
    together = np.any([patient.renderer.clot(k) > 0 for k in seen], axis=0)

    np.testing.assert_array_equal(views.clot, together)


def test_head_without_clots_has_views_too(draw):
    views = views_of(draw(twin="none"))

    assert not views.clot.any()
    np.testing.assert_array_equal(views.clot_slab, views.axial[0])


def test_slices_are_found_by_their_height_in_the_head(patient):
    low, high = slices_between(patient, -200, -190), slices_between(patient, 300, 400)

    assert list(low) == [0]
    assert list(high) == [patient.grid.shape[2] - 1]
    assert len(slices_between(patient, -20, 20)) > 5


def test_overlays_paint_only_where_there_is_something():
    base = grey(np.full((3, 3), 45, np.float32), (0.0, 90.0))
    mark = np.zeros((3, 3), bool)
    mark[0, 0] = True

    painted = (
        with_clot(base, mark),
        with_map(base, np.where(mark, 0.9, 0).astype(np.float32)),
        with_regions(base, np.where(mark, 3, 0).astype(np.uint8)),
        with_change(base, np.where(mark, -150, 0).astype(np.float32)),
    )

    np.testing.assert_allclose(base, 0.5)
    for picture in painted:
        assert (picture[0, 0] != 0.5).any()
        np.testing.assert_allclose(picture[1:, 1:], 0.5)
    np.testing.assert_allclose(painted[0][0, 0], CLOT_RGB)
    assert painted[3][0, 0, 2] > painted[3][0, 0, 0]  # a loss is blue


def test_both_sides_of_a_territory_can_be_told_apart():
    base = np.zeros((1, 2, 3), np.float32)

    right, left = with_regions(base, np.array([[3, 4]], np.uint8))[0]

    assert (right > left).any()


def test_sheet_is_a_png_with_a_line_a_patient(tmp_path, capsys):
    path = tmp_path / "pictures" / "sheet.png"

    assert cli.main(["sheet", str(path), "--seeds", "3", "23", *TINY]) == 0

    assert capsys.readouterr().out == f"{path}\n"
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height > 300


def test_differences_state_that_nothing_is_unexplained(tmp_path, capsys):
    path = tmp_path / "differences.png"

    assert cli.main(["differences", str(path), "--seeds", "3", *TINY]) == 0

    stated = json.loads(capsys.readouterr().out)
    assert stated["seed"] == 3
    assert stated["unexplained"] == 0 < stated["changed"] <= stated["allowed"] < stated["voxels"]
    assert path.exists()


def test_what_is_unexplained_is_exit_code_23(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(TwinSlice, "unexplained", np.ones((64, 64), bool))

    code = cli.main(["differences", str(tmp_path / "out.png"), "--seeds", "3", *TINY])

    assert code == 23
    assert "voxels differ where flow names no difference" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["sheet", "differences"])
def test_place_that_cannot_be_written_is_exit_code_30(verb, tmp_path):
    (tmp_path / "file").write_text("")

    assert cli.main([verb, str(tmp_path / "file" / "out.png"), *TINY]) == 30


def test_signal_prints_a_table(capsys):
    assert cli.main(["signal", "--patients", "1", *TINY]) == 0
    assert capsys.readouterr().out.startswith("| region | patients | phase 1, positive |")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["signal", "--patients", "0"], "--patients 0 is below 1"),
        (["differences", "x.png", "--step", "0"], "--step 0 is below 1"),
        (["probe", "--train", "1"], "--train and --test must be 2 patients or more"),
    ],
)
def test_bad_numbers_are_exit_code_2(words, message, capsys):
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err
