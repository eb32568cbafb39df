# SPDX-License-Identifier: Apache-2.0
"""A small anatomy folder made for the tests, and the real one where it is at hand."""

import itertools
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aminet_benchmarks.phantom.real.folder import TracedTree
from aminet_benchmarks.phantom.real.heads import RealHeads, open_heads
from aminet_benchmarks.phantom.real.rooted import ACA, MCA, PCA, Artery

VOXEL_MM = 4.0
SHAPE = (48, 60, 48)  # columns, rows, slices
ORIGIN_MM = (-94.0, -134.0, -80.0)  # of a template that is stored RAS
STEP_MM = 2.0

TERMINUS = (13, 2, -16)
TIP = (0, -17, -19)
PCA_ROOT = (9, -18, -16)
CAROTID = ((25, -20, -60), (16, -10, -47), (12, 2, -36), TERMINUS)
M1 = (TERMINUS, (24, 4, -18), (36, 2, -16))
SUPERIOR = ((36, 2, -16), (39, 6, 0), (48, 12, 14), (58, 8, 30), (54, -6, 44))
SUPERIOR_BRANCH = ((39, 6, 0), (46, 24, 4), (50, 34, 12))
INFERIOR = ((36, 2, -16), (41, -14, -6), (52, -34, 4), (56, -54, 24))
EARLY = ((24, 4, -18), (40, 10, -32), (50, 2, -34))
ANTERIOR = (TERMINUS, (6, 10, -14), (2, 14, -12), (3, 30, 2), (4, 36, 20), (4, 6, 34), (4, -20, 34))
POSTERIOR = (PCA_ROOT, (18, -30, -12), (16, -50, -4), (9, -80, 4))
UPPER_CEREBELLAR = ((0, -16, -30), (14, -32, -24), (20, -52, -20))


@dataclass
class TreePainter:
    """Draws polylines into a traced tree; where a line meets a drawn node it shares it."""

    points: list[tuple[float, float, float]]
    edges: list[tuple[int, int]]
    codes: list[int]
    radius: list[float]

    def line(self, corners, code, radius_mm):
        path = [np.array(corners[0], float)]
        for start, end in itertools.pairwise(np.array(corners, float)):
            count = max(1, int(np.ceil(np.linalg.norm(end - start) / STEP_MM)))
            path += [start + (end - start) * n / count for n in range(1, count + 1)]
        nodes = [self._node(point, radius_mm) for point in path]
        self.edges += list(itertools.pairwise(nodes))
        self.codes += [code] * (len(nodes) - 1)

    def _node(self, point, radius_mm):
        key = tuple(point.round(4).tolist())
        if key not in self.points:
            self.points.append(key)
            self.radius.append(radius_mm)
        return self.points.index(key)


def mirrored(corners, side):
    return tuple((x * side, y, z) for x, y, z in corners)


def paint_tree(name: str = "tree_00") -> TracedTree:
    """Return a small tree with all arteries that the code names, symmetric but for a shift."""
    painter = TreePainter([], [], [], [])
    painter.line(((0, -19, -50), (0, -16, -30), TIP), Artery.CIRCLE, 1.4)
    for side in (1, -1):
        painter.line((TIP, *mirrored((PCA_ROOT,), side)), Artery.CIRCLE, 1.0)
        painter.line(mirrored(CAROTID, side), Artery.CIRCLE, 1.9)
        painter.line(mirrored(((12, 2, -36), (11, -8, -26), PCA_ROOT), side), Artery.CIRCLE, 0.62)
        painter.line(mirrored(M1, side), MCA[side], 1.24)
        painter.line(mirrored(SUPERIOR, side), MCA[side], 0.93)
        painter.line(mirrored(SUPERIOR_BRANCH, side), MCA[side], 0.62)
        painter.line(mirrored(INFERIOR, side), MCA[side], 0.93)
        painter.line(mirrored(EARLY, side), MCA[side], 0.62)
        painter.line(mirrored(ANTERIOR, side), ACA[side], 0.93)
        painter.line(mirrored(POSTERIOR, side), PCA[side], 0.93)
        painter.line(mirrored(UPPER_CEREBELLAR, side), Artery.CIRCLE, 0.62)
    return TracedTree(
        name=name,
        points_mm=np.array(painter.points, np.float32),
        radius_mm=np.array(painter.radius, np.float32),
        edges=np.array(painter.edges, np.int32),
        artery=np.array(painter.codes, np.int8),
    )


def write_nifti(path: Path, image: NDArray[np.float32]) -> None:
    """Write a volume [k, j, i] in RAS as plain float32."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *image.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 16, 32)
    struct.pack_into("<8f", header, 76, 1, *[VOXEL_MM] * 3, 1, 1, 1, 1)
    struct.pack_into("<f2f", header, 108, 352, 1, 0)
    struct.pack_into("<B", header, 123, 2)
    struct.pack_into("<2h", header, 252, 0, 2)
    rows = [
        [VOXEL_MM if n == axis else 0 for n in range(3)] + [ORIGIN_MM[axis]] for axis in range(3)
    ]
    struct.pack_into("<12f", header, 280, *np.ravel(rows))
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + image.astype("<f4").tobytes())


def paint_template() -> dict[str, NDArray[np.float32]]:
    """Return the images of an egg of bone with a brain in it, [k, j, i] in RAS."""
    ticks = [ORIGIN_MM[n] + VOXEL_MM * np.arange(SHAPE[n]) for n in range(3)]
    z, y, x = np.meshgrid(ticks[2], ticks[1], ticks[0], indexing="ij")
    ratio = np.sqrt((x / 70) ** 2 + ((y + 16) / 87) ** 2 + ((z - 5) / 75) ** 2)
    neck = (np.hypot(x / 60, (y + 10) / 75) < 1) & (z < -20)
    head_hu = np.select([ratio < 1, ratio < 1.12, (ratio < 1.22) | neck], [35.0, 500, 40], -1000)
    cormack = np.select(
        [head_hu < -100, head_hu <= 100],
        [head_hu + 1000, (head_hu + 100) * 11 + 900],
        3000 + head_hu,
    )
    ventricle = np.sqrt((x / 12) ** 2 + ((y + 10) / 30) ** 2 + ((z - 10) / 12) ** 2) < 1
    return {
        "scct.nii": cormack.astype(np.float32),
        "scct_stripped.nii": np.where(ratio < 1, 2500, 0).astype(np.float32),
        "sccsf.nii": ventricle.astype(np.float32),
    }


def write_tree(path: Path, tree: TracedTree, **changes: object) -> None:
    """Write a tree file, some of its arrays changed or left out (None)."""
    names = ("points_mm", "radius_mm", "edges", "artery")
    arrays = {name: getattr(tree, name) for name in names} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def write_anatomy(root: Path, trees: int = 5) -> Path:
    """Write an anatomy folder with copies of one tree."""
    (root / "arteries").mkdir(parents=True)
    (root / "clinical_ct").mkdir()
    for number in range(trees):
        write_tree(root / "arteries" / f"tree_{number:02d}.npz", paint_tree())
    for name, image in paint_template().items():
        write_nifti(root / "clinical_ct" / name, image)
    return root


@pytest.fixture(scope="session")
def anatomy_folder(tmp_path_factory) -> Path:
    return write_anatomy(tmp_path_factory.mktemp("anatomy") / "data")


@pytest.fixture(scope="session")
def heads(anatomy_folder) -> RealHeads:
    return open_heads(anatomy_folder)


@pytest.fixture
def own_folder(tmp_path) -> Path:
    """An anatomy folder that a test may spoil."""
    return write_anatomy(tmp_path / "data", trees=1)


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """The real data: `AMINET_ANATOMY`, or shared data beside the checkout."""
    beside = Path(__file__).parents[5] / "shared" / "data" / "anatomy"
    folder = Path(os.environ.get("AMINET_ANATOMY", beside))
    if not (folder / "arteries").is_dir():
        pytest.skip("no real anatomy here; set AMINET_ANATOMY to its folder")
    return folder


@pytest.fixture(scope="session")
def tree() -> TracedTree:
    return paint_tree()


@pytest.fixture
def rewrite_tree(own_folder, tree):
    """Write the tree of the own folder anew, some of its arrays changed."""
    path = own_folder / "arteries" / "tree_00.npz"
    return lambda **changes: write_tree(path, tree, **changes)
