# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.grid import ModelGrid, Window, draw_grid, draw_pose


@pytest.fixture
def pose_and_grid():
    config = preset_config("hard", shape=(96, 80, 40))
    rng = np.random.default_rng(0)
    pose = draw_pose(rng, config)
    return pose, draw_grid(rng, config, pose)


def test_pose_and_its_inverse_cancel(pose_and_grid):
    pose, _ = pose_and_grid
    points = np.random.default_rng(1).uniform(-90, 90, (50, 3)).astype(np.float32)

    np.testing.assert_allclose(pose.to_head(pose.to_scanner(points)), points, atol=1e-3)


def test_columns_run_to_the_left_rows_to_the_back_slices_up(pose_and_grid):
    _, grid = pose_and_grid
    steps = grid.to_index(np.array([[0, 0, 0], [-10, 0, 0], [0, -10, 0], [0, 0, 10]], np.float32))

    moved = np.sign(np.round(steps[1:] - steps[0], 3))

    np.testing.assert_array_equal(moved, np.eye(3))


def test_linear_fields_are_sampled_exactly(pose_and_grid):
    """Catmull-Rom weights reproduce straight lines; float32 of 100 mm rounds at 1e-5."""
    pose, grid = pose_and_grid
    model = ModelGrid(grid, pose=pose, step_mm=6.0)
    fields = model.head_points_mm().transpose(3, 0, 1, 2)  # (Z, H, W, 3) -> (3, Z, H, W)
    rows, columns = slice(35, 45), slice(40, 50)

    sampled = Window(rows, columns).sample(model, fields, 20)

    row, column = np.mgrid[rows, columns].astype(np.float32)
    x = grid.origin_mm[0] - column * grid.spacing_mm[0]
    y = grid.origin_mm[1] - row * grid.spacing_mm[1]
    expected = pose.to_head(np.stack([x, y, np.full_like(x, grid.z_mm(20))], axis=-1))
    np.testing.assert_allclose(sampled.transpose(1, 2, 0), expected, atol=2e-3)


def test_window_of_nothing_is_empty(pose_and_grid):
    pose, grid = pose_and_grid
    model = ModelGrid(grid, pose=pose, step_mm=6.0)

    window = model.window_of(np.zeros(model.shape[1:], bool))

    fields = np.zeros((2, *model.shape), np.float32)
    assert window.sample(model, fields, 3).shape == (2, 0, 0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("preset", ["report", "hard"])
def test_head_fits_into_the_field_of_view(seed, preset):
    config = preset_config(preset)
    rng = np.random.default_rng(seed)
    pose = draw_pose(rng, config)
    grid = draw_grid(rng, config, pose)

    assert 160 < grid.shape[1] * grid.spacing_mm[1] < 320
    assert 130 < grid.shape[2] * grid.spacing_mm[2] < 180
    vertex = grid.to_index(pose.to_scanner(np.array([0, -16, 88], np.float32)))
    assert 0 < vertex[0] < grid.shape[0]
    assert 0 < vertex[1] < grid.shape[1]
    assert vertex[2] < grid.shape[2] + 12 / grid.spacing_mm[2]


def drawn_grids(preset, count):
    config = preset_config(preset)
    rngs = [np.random.default_rng(seed) for seed in range(count)]
    return [draw_grid(rng, config, draw_pose(rng, config)) for rng in rngs]


def test_hard_grids_vary_as_in_practice():
    grids = drawn_grids("hard", 200)

    slices = [grid.shape[2] for grid in grids]
    assert (min(slices), max(slices)) == (200, 260)
    pixels = [grid.spacing_mm[0] for grid in grids]
    assert 0.39 <= min(pixels) < 0.42
    assert 0.57 < max(pixels) <= 0.59
    coverage = [grid.shape[2] * grid.spacing_mm[2] for grid in grids]
    assert 139 < min(coverage) < 145
    assert 170 < max(coverage) < 176


def test_report_grids_have_the_reports_number_of_slices():
    assert {grid.shape for grid in drawn_grids("report", 20)} == {(512, 512, 257)}
