# SPDX-License-Identifier: Apache-2.0
"""An anatomy folder: traced arterial trees and a head template, checked before they are used."""

import hashlib
import io
import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.real.layout import (
    CSF_FILE,
    HEAD_FILE,
    STRIPPED_FILE,
    TEMPLATE_FILES,
    TEMPLATE_FOLDER,
    TREE_FOLDER,
    TREE_PATTERN,
)
from aminet_runtime.errors import InputDamaged, InputInconsistent, InputMissing, InputUnsupported
from aminet_runtime.volume import Volume

Field = NDArray[np.float32]

CASE = 70  # of the error codes of this module
MAX_TREE_BYTES = 8 * 2**20
MAX_NODES = 50_000
MAX_VOXELS = 16 * 2**20
WITHIN_MM = 250.0  # of the template's origin; nothing of a head lies further out
WIDEST_MM = 8.0  # radius of an artery of the head
ARTERY_CODES = 8
TREE_ARRAYS = {
    "points_mm": (np.dtype(np.float32), 2),
    "radius_mm": (np.dtype(np.float32), 1),
    "edges": (np.dtype(np.int32), 2),
    "artery": (np.dtype(np.int8), 1),
}
HINT = "see docs/phantom.md, Another anatomy, or run aminet-phantom fetch-anatomy"


@dataclass(frozen=True, slots=True)
class TracedTree:
    """The centrelines of one person's arteries, as traced.

    Attributes:
        name: For example `tree_13`.
        points_mm: float32 [N, 3], MNI152 RAS mm.
        radius_mm: float32 [N], 0 where it was not measured.
        edges: int32 [E, 2], not oriented.
        artery: int8 [E], see `rooted.Artery`.
    """

    name: str
    points_mm: Field
    radius_mm: Field
    edges: NDArray[np.int32]
    artery: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class TemplateImages:
    """The images of a head template on one grid, canonical [Z, H, W] in LPS.

    Attributes:
        head: float32, CT in Cormack units.
        stripped: float32, the same without what lies outside of the brain.
        csf: float32, probability of CSF, 0..1.
        affine: float64 [4, 4], index (column, row, slice, 1) to RAS mm.
    """

    head: Field
    stripped: Field
    csf: Field
    affine: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AnatomyFolder:
    """The content of an anatomy folder.

    Attributes:
        trees: In the order of their names.
        images: The head template.
        fingerprint: Hash (hex) of the content of all files used, whatever the folder is called.
    """

    trees: tuple[TracedTree, ...]
    images: TemplateImages
    fingerprint: str


def open_folder(root: Path) -> AnatomyFolder:
    """Read and check an anatomy folder.

    Raises:
        InputMissing: A file is not there.
        InputDamaged: A file cannot be read.
        InputUnsupported: A file holds something else than it should.
        InputInconsistent: The images lie on different grids, or a tree is in pieces.
    """
    paths = sorted((root / TREE_FOLDER).glob(TREE_PATTERN))
    if not paths:
        raise InputMissing(
            f"there is no {TREE_FOLDER}/{TREE_PATTERN}", case=CASE, path=root, hint=HINT
        )
    contents = [_bytes_of(path) for path in paths]
    trees = tuple(parse_tree(data, path=path) for path, data in zip(paths, contents, strict=True))
    images, image_hashes = _read_images(root / TEMPLATE_FOLDER)
    names = [path.name for path in paths]
    hashes = [hashlib.sha256(data).hexdigest() for data in contents]
    return AnatomyFolder(
        trees=trees,
        images=images,
        fingerprint=_fingerprint([*names, *TEMPLATE_FILES], [*hashes, *image_hashes]),
    )


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TREE_BYTES + 1)
    except OSError as error:
        raise InputMissing(f"cannot be read ({error.strerror})", case=CASE, path=path) from error
    if len(data) > MAX_TREE_BYTES:
        raise InputUnsupported(
            f"has more than {MAX_TREE_BYTES} bytes", case=CASE, path=path, hint=HINT
        )
    return data


def parse_tree(data: bytes, *, path: Path) -> TracedTree:
    """Check the bytes of a tree file and return the tree.

    Raises:
        InputDamaged: It is no npz file of plain arrays.
        InputUnsupported: An array is missing, or has another type, size or range.
    """
    arrays = _load_arrays(data, path)
    for name, (dtype, axes) in TREE_ARRAYS.items():
        found = arrays.get(name)
        if found is None or found.dtype != dtype or found.ndim != axes:
            raise InputUnsupported(
                f"{name} is not a {dtype} array of {axes} axes", case=CASE, path=path, hint=HINT
            )
    _check_sizes(arrays, path)
    _check_values(arrays, path)
    return TracedTree(
        name=path.stem,
        points_mm=np.asarray(arrays["points_mm"], np.float32),
        radius_mm=np.asarray(arrays["radius_mm"], np.float32),
        edges=np.asarray(arrays["edges"], np.int32),
        artery=np.asarray(arrays["artery"], np.int8),
    )


DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError, SyntaxError),
    *(ValueError, OSError, EOFError, KeyError, MemoryError),
    RuntimeError,  # locked with a password, or packed in a way that zipfile does not know
)
"""What zipfile and NumPy raise on bytes that are not what `np.savez` writes."""


def _load_arrays(data: bytes, path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_inflated(sum(entry.file_size for entry in archive.infolist()), path)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in TREE_ARRAYS if name in file.files}
    except InputUnsupported:  # it is a ValueError, too
        raise
    except DAMAGES as error:
        raise InputDamaged("is not an npz file of plain arrays", case=CASE, path=path) from error


def _check_inflated(count: int, path: Path) -> None:
    if count > MAX_TREE_BYTES:
        raise InputUnsupported(f"unpacks to {count} bytes", case=CASE, path=path, hint=HINT)


def _check_sizes(arrays: dict[str, NDArray[np.generic]], path: Path) -> None:
    nodes, edges = len(arrays["points_mm"]), len(arrays["edges"])
    fits = (
        2 <= nodes <= MAX_NODES
        and 1 <= edges <= 2 * MAX_NODES
        and arrays["points_mm"].shape == (nodes, 3)
        and arrays["radius_mm"].shape == (nodes,)
        and arrays["edges"].shape == (edges, 2)
        and arrays["artery"].shape == (edges,)
    )
    if not fits:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InputUnsupported(
            f"the sizes do not make a graph: {shapes}", case=CASE, path=path, hint=HINT
        )


def _check_values(arrays: dict[str, NDArray[np.generic]], path: Path) -> None:
    limits = {
        "points_mm": (-WITHIN_MM, WITHIN_MM),
        "radius_mm": (0, WIDEST_MM),
        "edges": (0, len(arrays["points_mm"]) - 1),
        "artery": (0, ARTERY_CODES - 1),
    }
    for name, (low, high) in limits.items():
        values = np.asarray(arrays[name], np.float64)
        if not (np.isfinite(values) & (values >= low) & (values <= high)).all():
            raise InputUnsupported(
                f"{name} has values that are not {low:g} to {high:g}", case=CASE, path=path
            )


def _read_images(folder: Path) -> tuple[TemplateImages, list[str]]:
    read = {name: _read_image(folder / name) for name in TEMPLATE_FILES}
    grids = {name: (image.shape, affine.tobytes()) for name, (image, affine, _) in read.items()}
    for name, grid in grids.items():
        if grid != grids[HEAD_FILE]:
            raise InputInconsistent(
                f"its grid is not that of {HEAD_FILE}", case=CASE, path=folder / name
            )
    images = TemplateImages(
        head=read[HEAD_FILE][0],
        stripped=read[STRIPPED_FILE][0],
        csf=read[CSF_FILE][0],
        affine=read[HEAD_FILE][1],
    )
    return images, [sha256 for _, _, sha256 in read.values()]


def _read_image(path: Path) -> tuple[Field, NDArray[np.float64], str]:
    with Volume.open(path) as volume:
        if int(np.prod(volume.shape)) > MAX_VOXELS:
            raise InputUnsupported(f"has more than {MAX_VOXELS} voxels", case=CASE, path=path)
        image = np.empty(volume.shape, np.float32)
        for axial_slice in volume.slices_upward():
            volume.write_hu(axial_slice, image[axial_slice.index])
        if not np.isfinite(image).all():
            raise InputUnsupported("has voxels that are not finite", case=CASE, path=path)
        return image, np.asarray(volume.affine, np.float64), volume.sha256


def _fingerprint(names: Sequence[str], hashes: Sequence[str]) -> str:
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in zip(names, hashes, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()
