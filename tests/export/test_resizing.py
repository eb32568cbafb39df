# SPDX-License-Identifier: Apache-2.0
"""Gathered resizes show what PyTorch's interpolation shows, whatever the size."""

import numpy as np
import openvino as ov
import pytest
import torch
from openvino import opset13 as ops
from torch.nn import functional as F

from aminet_export.resizing import CLAMP, INTERPOLATE, SLICE, front_resizes, gather_resizes
from aminet_runtime.errors import InternalError

SIZE_PX = (224, 192)
SIZES = [(512, 512), (300, 417), (224, 192), (100, 90), (1, 3)]


def resize(values: ov.Node, mode: str, transformation: str) -> ov.Node:
    return ops.interpolate(
        values,
        ops.constant(np.array(SIZE_PX, np.int64)),
        mode=mode,
        shape_calculation_mode="sizes",
        coordinate_transformation_mode=transformation,
        nearest_mode="floor",
        axes=ops.constant(np.array([2, 3], np.int64)),
    )


def cut(values: ov.Node, axis: int, kept: slice) -> ov.Node:
    bounds = (ops.constant(np.array([n], np.int64)) for n in (kept.start, kept.stop, 1, axis))
    return ops.slice(values, *bounds)


def windowed(values: ov.Node, low: np.ndarray, span: np.ndarray) -> ov.Node:
    scaled = ops.divide(ops.subtract(values, ops.constant(low)), ops.constant(span))
    return ops.clamp(scaled, 0.0, 1.0)


def model(
    mode: str,
    transformation: str,
    *,
    rows: slice | None = None,
    columns: slice | None = None,
    window: tuple[np.ndarray, np.ndarray] | None = None,
) -> ov.Model:
    slices = ops.parameter([-1, 2, -1, -1], np.float32, name="slices")
    kernel = ops.constant(np.ones((1, 2, 1, 1), np.float32))
    resized = resize(slices if window is None else windowed(slices, *window), mode, transformation)
    if rows is not None and columns is not None:
        resized = cut(cut(resized, 2, rows), 3, columns)
    layer = ops.convolution(resized, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    return ov.Model([layer.output(0), resized.output(0)], [slices])


def shown(made: ov.Model, slices: np.ndarray) -> np.ndarray:
    """Run it compiled for one size, as the runtime does."""
    made.reshape(slices.shape)
    return ov.Core().compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([slices])[1]


@pytest.mark.parametrize("size", SIZES)
def test_images_are_mixed_as_in_torch(size):
    slices = np.random.default_rng(0).random((2, 2, *size), np.float32)
    made = model("linear_onnx", "half_pixel")
    gather_resizes(made)
    wanted = F.interpolate(torch.from_numpy(slices), SIZE_PX, mode="bilinear").numpy()
    np.testing.assert_allclose(shown(made, slices), wanted, atol=2e-5)  # places to 400, in float32


@pytest.mark.parametrize("size", SIZES)
def test_voxels_of_an_atlas_are_picked_as_in_torch(size):
    regions = np.random.default_rng(0).integers(0, 15, (2, 2, *size)).astype(np.float32)
    made = model("nearest", "asymmetric")
    gather_resizes(made)
    wanted = F.interpolate(torch.from_numpy(regions), SIZE_PX, mode="nearest").numpy()
    np.testing.assert_array_equal(shown(made, regions), wanted)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(20, 204), slice(36, 156)), (slice(0, 200), slice(50, 190))],
    ids=["as wide on both sides", "wider on one side"],
)
def test_a_margin_is_not_computed(rows, columns):
    made = model("linear_onnx", "half_pixel", rows=rows, columns=columns)
    gather_resizes(made)
    assert SLICE not in {node.get_type_name() for node in made.get_ordered_ops()}
    slices = np.random.default_rng(0).random((2, 2, 512, 512), np.float32)
    wanted = F.interpolate(torch.from_numpy(slices), SIZE_PX, mode="bilinear").numpy()
    np.testing.assert_allclose(shown(made, slices), wanted[:, :, rows, columns], atol=2e-5)


def of_channels(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, -1, 1, 1)


@pytest.mark.parametrize(
    "window",
    [(of_channels(0, -100), of_channels(200, 600)), (np.float32(0), np.float32(300))],
    ids=["of each channel", "of all"],
)
def test_the_window_is_applied_to_gathered_rows_alone(window):
    made = model("linear_onnx", "half_pixel", window=window)
    gather_resizes(made)
    slices = np.random.default_rng(0).normal(100, 200, (2, 2, 512, 512)).astype(np.float32)
    low, span = (torch.from_numpy(np.asarray(values)) for values in window)
    shares = ((torch.from_numpy(slices) - low) / span).clamp(0, 1)
    wanted = F.interpolate(shares, SIZE_PX, mode="bilinear").numpy()
    np.testing.assert_allclose(shown(made, slices), wanted, atol=2e-5)
    clamps = [node for node in made.get_ordered_ops() if node.get_type_name() == CLAMP]
    assert {tuple(node.output(0).shape) for node in clamps} == {(2, 2, SIZE_PX[0], 512)}


def test_what_differs_between_pixels_stays_in_front():
    ramp = np.linspace(0, 1, 512, dtype=np.float32).reshape(1, 1, 1, -1)
    made = model("linear_onnx", "half_pixel", window=(ramp, np.float32(1)))
    gather_resizes(made)
    slices = np.random.default_rng(0).random((1, 2, 512, 512), np.float32)
    wanted = F.interpolate(torch.from_numpy(slices - ramp).clamp(0, 1), SIZE_PX, mode="bilinear")
    np.testing.assert_allclose(shown(made, slices), wanted.numpy(), atol=2e-5)


def test_sizes_may_stay_open():
    slices = np.random.default_rng(0).random((2, 2, 300, 417), np.float32)
    made = model("linear_onnx", "half_pixel")
    gather_resizes(made)
    compiled = ov.Core().compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = F.interpolate(torch.from_numpy(slices), SIZE_PX, mode="bilinear").numpy()
    np.testing.assert_allclose(compiled([slices])[1], wanted, atol=1e-4)  # 1 / 224 is rounded


def test_the_resizes_are_found_again_and_are_no_interpolation():
    made = model("linear_onnx", "half_pixel")
    gather_resizes(made)
    assert INTERPOLATE not in {node.get_type_name() for node in made.get_ordered_ops()}
    assert [node.output(0).get_partial_shape()[2] for node in front_resizes(made)] == [SIZE_PX[0]]


def test_a_resize_of_another_kind_is_refused():
    with pytest.raises(InternalError, match="of the kind"):
        gather_resizes(model("cubic", "half_pixel"))


def test_a_margin_that_is_computed_is_refused():
    slices = ops.parameter([-1, 2, -1, -1], np.float32, name="slices")
    resized = resize(slices, "linear_onnx", "half_pixel")
    half = ops.divide(ops.shape_of(slices, "i64"), ops.constant(np.int64(2)))
    start = ops.gather(half, ops.constant(np.array([2], np.int64)), ops.constant(np.int64(0)))
    one, last = (ops.constant(np.array([n], np.int64)) for n in (1, SIZE_PX[0]))
    left = ops.slice(resized, start, last, one, ops.constant(np.array([2], np.int64)))
    with pytest.raises(InternalError, match="a margin that constants do not tell"):
        gather_resizes(ov.Model([left.output(0)], [slices]))
