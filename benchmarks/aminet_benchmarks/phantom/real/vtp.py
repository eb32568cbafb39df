# SPDX-License-Identifier: Apache-2.0
"""Traced trees in the format of their source: VTK PolyData with appended, compressed arrays."""

import base64
import binascii
import io
import re
import struct
import zipfile
import zlib

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]

MAX_INFLATED_BYTES = 8 * 2**20
MAX_BLOCKS = 1024
DTYPES = {"Float32": "<f4", "Int32": "<i4", "Int64": "<i8"}
TAG = re.compile(r'<DataArray type="(\w+)" Name="([^"]*)"([^>]*?)offset="(\d+)"')
SECTIONS = ("PointData", "CellData", "Points", "Lines")

# From the source's millimetres to MNI152: one affine for all trees, rows of [x', y', z', shift].
TO_MNI = np.array(
    [
        [1.0351, 0.0, 0.0, -0.9041],
        [0.0, 1.0624, 0.0157, -15.0238],
        [0.0, -0.0142, 1.1746, 7.9616],
    ]
)
EPOCH = (1980, 1, 1, 0, 0, 0)  # in archives, so that the same tree gives the same bytes


def vtp_to_npz(data: bytes) -> bytes:
    """Convert a traced tree to the bytes of a tree file; the same input gives the same bytes.

    Raises:
        ValueError: It is not of the format that the source uses.
    """
    arrays = _read_arrays(data)
    points = np.asarray(arrays["Points", "Points"], np.float64).reshape(-1, 3)
    edges, artery = _edges(arrays)
    tree = {
        "points_mm": (points @ TO_MNI[:, :3].T + TO_MNI[:, 3]).astype(np.float32),
        "radius_mm": np.asarray(arrays["PointData", "Radius"], np.float32),
        "edges": edges,
        "artery": artery,
    }
    return _npz(tree)


def _edges(arrays: dict[tuple[str, str], Array]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Cut the polylines of the vessels into edges, each with the code of its vessel."""
    along = np.asarray(arrays["Lines", "connectivity"], np.int64)
    ends = np.asarray(arrays["Lines", "offsets"], np.int64)
    pairs = np.stack([along[:-1], along[1:]], axis=1)
    is_within = np.ones(len(pairs), np.bool_)
    is_within[ends[:-1] - 1] = False  # from the last node of a vessel to the first of the next
    lengths = np.diff(np.concatenate([[0], ends])) - 1
    codes = np.repeat(np.asarray(arrays["CellData", "Major Vessel Ids"]), lengths)
    return pairs[is_within].astype(np.int32), codes.astype(np.int8)


def _read_arrays(data: bytes) -> dict[tuple[str, str], Array]:
    """Return the arrays by section and name.

    Raises:
        ValueError: See `vtp_to_npz`.
    """
    head, mark, appended = data.partition(b"<AppendedData")
    start = appended.find(b"_") + 1
    if not mark or b'encoding="base64"' not in appended[:start] or b"UInt32" not in head:
        raise ValueError("not PolyData with base64 arrays and 32-bit headers")
    text = head.decode("ascii", "replace")
    arrays = {}
    for section in SECTIONS:
        inside = re.search(rf"<{section}\b.*?</{section}>", text, re.DOTALL)
        for kind, name, _, offset in TAG.findall(inside[0] if inside else ""):
            if kind in DTYPES:
                raw = _inflate(appended, start + int(offset))
                arrays[section, name.strip()] = np.frombuffer(raw, DTYPES[kind])
    return arrays


def _inflate(appended: bytes, start: int) -> bytes:
    """Decode one array: a header with the sizes of its blocks, then the blocks."""
    try:
        (count,) = struct.unpack("<I", base64.b64decode(appended[start : start + 8])[:4])
        if count > MAX_BLOCKS:
            raise ValueError(f"an array has {count} blocks")
        header_chars = _base64_chars(4 * (3 + count))
        header = base64.b64decode(appended[start : start + header_chars])
        sizes = struct.unpack_from(f"<{count}I", header, 12)
        begin = start + header_chars
        packed = base64.b64decode(appended[begin : begin + _base64_chars(sum(sizes))])
        return _inflate_blocks(packed, sizes)
    except (struct.error, binascii.Error, zlib.error) as error:
        raise ValueError(f"an array cannot be decoded ({error})") from error


def _inflate_blocks(packed: bytes, sizes: tuple[int, ...]) -> bytes:
    blocks, place, room = [], 0, MAX_INFLATED_BYTES
    for size in sizes:
        inflater = zlib.decompressobj()
        blocks.append(inflater.decompress(packed[place : place + size], room + 1))
        place, room = place + size, room - len(blocks[-1])
        if room < 0:
            raise ValueError(f"an array unpacks to more than {MAX_INFLATED_BYTES} bytes")
    return b"".join(blocks)


def _base64_chars(count: int) -> int:
    return -(-count // 3) * 4


def _npz(arrays: dict[str, Array]) -> bytes:
    """Return the bytes of an npz file without any clock in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue())
    return out.getvalue()
