# SPDX-License-Identifier: Apache-2.0
"""Where the voxels are: the scanner's grid, the head's pose in it, and coarse model grids.

Scanner and head coordinates are RAS millimetres. The head frame is that of the MNI152 template:
x to the right, y to the front, z up, the origin at the anterior commissure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.config import PhantomConfig

VERTEX_Z_MM = 94.0  # scalp at the vertex in the MNI frame
HEAD_LENGTH_MM = 208.0  # scalp, forehead to occiput, in the MNI frame
HEAD_CENTRE_Y_MM = -14.0


@dataclass(frozen=True, slots=True)
class Pose:
    """How the head lies in the scanner: scanner = rotation @ (scale * head) + shift.

    Attributes:
        rotation: [3, 3] float32.
        scale: [3] float32, size of the head along its own axes.
        shift_mm: [3] float32.
    """

    rotation: NDArray[np.float32]
    scale: NDArray[np.float32]
    shift_mm: NDArray[np.float32]

    def to_scanner(self, head_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points [..., 3] of the head frame into the scanner."""
        return np.asarray((head_mm * self.scale) @ self.rotation.T + self.shift_mm, np.float32)

    def to_head(self, scanner_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points [..., 3] of the scanner into the head frame."""
        return np.asarray(((scanner_mm - self.shift_mm) @ self.rotation) / self.scale, np.float32)


@dataclass(frozen=True, slots=True)
class ScanGrid:
    """The voxels of one scan in canonical order: column to the left, row to the back, slice up.

    Attributes:
        shape: Columns, rows, slices.
        spacing_mm: Spacing of columns, rows, slices.
        origin_mm: RAS position of the centre of voxel (0, 0, 0).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    def z_mm(self, index: int) -> float:
        """Return the height of a slice."""
        return self.origin_mm[2] + index * self.spacing_mm[2]

    def to_index(self, scanner_mm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map points [..., 3] in mm to fractional (column, row, slice)."""
        step = np.array(self.spacing_mm, np.float32) * np.array([-1, -1, 1], np.float32)
        return np.asarray((scanner_mm - np.array(self.origin_mm, np.float32)) / step, np.float32)


def draw_pose(rng: np.random.Generator, config: PhantomConfig) -> Pose:
    """Draw size and pose of a head."""
    angles = np.deg2rad(rng.normal(0, config.rotation_sd_deg, 3).clip(-20, 20))
    scale = rng.uniform(*config.head_scale) * (1 + rng.normal(0, config.head_aspect_sd, 3))
    shift = np.array([*rng.normal(0, config.shift_sd_mm, 2), 0.0])
    return Pose(
        rotation=_rotation(angles).astype(np.float32),
        scale=scale.astype(np.float32),
        shift_mm=shift.astype(np.float32),
    )


def draw_grid(rng: np.random.Generator, config: PhantomConfig, pose: Pose) -> ScanGrid:
    """Draw spacing and position of the voxels, so that the head fits along the longer edge.

    Where there are fewer rows than columns, front and back of the head are cut off.
    """
    columns, rows = config.matrix
    field_mm = rng.uniform(*config.pixel_mm) * 512
    field_mm = max(field_mm, HEAD_LENGTH_MM * float(pose.scale[1]) * 1.06)
    coverage_mm = rng.uniform(*config.coverage_mm)
    top_mm = VERTEX_Z_MM * float(pose.scale[2]) + rng.uniform(*config.top_margin_mm)
    slices = int(rng.integers(*config.slice_count, endpoint=True))
    pixel = field_mm / max(columns, rows)
    step = coverage_mm / slices
    centre_y = HEAD_CENTRE_Y_MM * float(pose.scale[1])
    return ScanGrid(
        shape=(columns, rows, slices),
        spacing_mm=(round(pixel, 6), round(pixel, 6), round(step, 6)),
        origin_mm=(
            round(pixel * (columns - 1) / 2, 4),
            round(centre_y + pixel * (rows - 1) / 2, 4),
            round(top_mm - coverage_mm + step / 2, 4),
        ),
    )


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


class ModelGrid:
    """A coarse grid over the scan, from which fields are sampled slice by slice.

    Smooth fields (distances, densities) live on a few millimetres and are interpolated with
    cubic (Catmull-Rom) weights as two small matrix products a slice; edges become sharp because
    the distance, and not the tissue, is interpolated.
    """

    __slots__ = ("_grid", "_skip", "pose", "shape", "step_mm", "xs_mm", "ys_mm", "zs_mm")

    def __init__(self, grid: ScanGrid, *, pose: Pose, step_mm: float) -> None:
        self._grid = grid
        self.pose = pose
        self.step_mm = step_mm
        (columns, rows, slices), (dx, dy, dz) = grid.shape, grid.spacing_mm
        x0, y0, z0 = grid.origin_mm
        xs_mm = x0 - _ticks((columns - 1) * dx, step_mm)
        ys_mm = y0 - _ticks((rows - 1) * dy, step_mm)
        half_x, half_y, centre_y = _head_box_mm(pose)
        near_x = np.flatnonzero(np.abs(xs_mm - pose.shift_mm[0]) < half_x)
        near_y = np.flatnonzero(np.abs(ys_mm - centre_y) < half_y)
        self._skip = (int(near_y[0]), int(near_x[0]))
        self.xs_mm, self.ys_mm = xs_mm[near_x], ys_mm[near_y]
        self.zs_mm = z0 + _ticks((slices - 1) * dz, step_mm)
        self.shape = (len(self.zs_mm), len(self.ys_mm), len(self.xs_mm))

    def head_points_mm(self) -> NDArray[np.float32]:
        """Return all nodes in the head frame, float32 [Zc, Hc, Wc, 3]."""
        points = np.empty((*self.shape, 3), np.float32)
        points[..., 0] = self.xs_mm
        points[..., 1] = self.ys_mm[:, None]
        points[..., 2] = self.zs_mm[:, None, None]
        return self.pose.to_head(points)

    def plane(self, fields: NDArray[np.float32], index: int) -> NDArray[np.float32]:
        """Interpolate fields [F, Zc, Hc, Wc] to the height of a slice; returns [F, Hc, Wc]."""
        position = index * self._grid.spacing_mm[2] / self.step_mm + 1
        first, weights = _catmull_rom(np.array([position]))
        taps = np.clip(first[0] + np.arange(4), 0, self.shape[0] - 1)
        return np.asarray(np.tensordot(weights[0], fields[:, taps], (0, 1)), np.float32)

    def rows(self, pixels: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the weights [len(pixels), Hc] that take node rows to pixel rows."""
        return self._weights(pixels, 0)

    def columns(self, pixels: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the weights [len(pixels), Wc] that take node columns to pixel columns."""
        return self._weights(pixels, 1)

    def window_of(self, wanted: NDArray[np.bool_]) -> "Window":
        """Return the pixels around the wanted nodes [Hc, Wc], none if there are none."""
        bounds = []
        for axis, count in enumerate((self._grid.shape[1], self._grid.shape[0])):
            nodes = np.flatnonzero(wanted.any(axis=1 - axis))
            if not len(nodes):
                return Window(slice(0, 0), slice(0, 0))
            ends = (np.array([nodes[0] - 1, nodes[-1] + 1]) + self._skip[axis] - 1) * self.step_mm
            low, high = ends / self._grid.spacing_mm[1 - axis]
            bounds.append(slice(max(int(low), 0), max(min(int(high) + 1, count), 0)))
        return Window(bounds[0], bounds[1])

    def _weights(self, pixels: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
        count = self.shape[1 + axis]
        spacing_mm = self._grid.spacing_mm[1 - axis]
        first, weights = _catmull_rom(pixels * spacing_mm / self.step_mm + 1 - self._skip[axis])
        matrix = np.zeros((len(pixels), count), np.float32)
        lines = np.arange(len(pixels))
        for tap in range(4):
            np.add.at(matrix, (lines, np.clip(first + tap, 0, count - 1)), weights[:, tap])
        return matrix


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels of a slice.

    Attributes:
        rows: Rows, in units of `step` pixels.
        columns: Columns, in units of `step` pixels.
        step: Pixels from one sample to the next.
    """

    rows: slice
    columns: slice
    step: int = 1

    def sample(
        self, grid: ModelGrid, fields: NDArray[np.float32], index: int
    ) -> NDArray[np.float32]:
        """Interpolate fields [F, Zc, Hc, Wc] to this window of a slice; returns [F, H, W]."""
        middle = (self.step - 1) / 2
        rows = np.arange(self.rows.start, self.rows.stop) * self.step + middle
        columns = np.arange(self.columns.start, self.columns.stop) * self.step + middle
        return upsample(grid.plane(fields, index), grid.rows(rows), grid.columns(columns))


def upsample(
    planes: NDArray[np.float32], rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Take planes [F, Hc, Wc] to pixels [F, H, W] by the weights of both axes."""
    lines = np.matmul(rows, planes)  # (H, Hc) x (F, Hc, Wc) -> (F, H, Wc)
    count, height, width = lines.shape
    pixels = lines.reshape(count * height, width) @ columns.T  # one product for all fields
    return np.asarray(pixels.reshape(count, height, len(columns)), np.float32)


def _head_box_mm(pose: Pose) -> tuple[float, float, float]:
    """Return the half width, half length and centre in y of all that is drawn of a head."""
    scale_x, scale_y, _ = (float(s) for s in pose.scale)
    tilt = float(np.abs(pose.rotation - np.eye(3)).max())
    half_x, half_y = 90 * scale_x + 110 * tilt, 122 * scale_y + 110 * tilt
    return half_x, half_y, float(pose.shift_mm[1]) - 3 * scale_y


def _ticks(length_mm: float, step_mm: float) -> NDArray[np.float32]:
    count = int(np.ceil(length_mm / step_mm)) + 3  # one node before, one behind
    return np.asarray((np.arange(count) - 1) * step_mm, np.float32)


def _catmull_rom(
    position: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    base = np.floor(position).astype(np.intp)
    t = position - base
    weights = np.stack(
        [
            0.5 * (-t + 2 * t**2 - t**3),
            0.5 * (2 - 5 * t**2 + 3 * t**3),
            0.5 * (t + 4 * t**2 - 3 * t**3),
            0.5 * (-(t**2) + t**3),
        ],
        axis=1,
    )
    return base - 1, weights.astype(np.float32)
