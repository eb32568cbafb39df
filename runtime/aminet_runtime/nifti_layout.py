# SPDX-License-Identifier: Apache-2.0
"""Where NIfTI-1 and NIfTI-2 keep the fields that are looked at, in either byte order.

Nothing is judged here but whether it is such a header at all; `aminet_runtime.nifti` does the rest.

Source: nifti1.h and nifti2.h, https://nifti.nimh.nih.gov
"""

import struct
from typing import Literal, NamedTuple

from aminet_runtime.errors import InputDamaged, InputUnsupported

ByteOrder = Literal["<", ">"]  # little, big; as in struct and numpy
_BYTE_ORDERS: tuple[ByteOrder, ...] = ("<", ">")


class NiftiFields(NamedTuple):
    """The fields of a header, unpacked and not yet checked."""

    version: int
    byte_order: ByteOrder
    dim: tuple[int, ...]
    datatype: int
    bits: int
    pixdim: tuple[float, ...]
    vox_offset: float
    slope: float
    intercept: float
    units: int
    qform_code: int
    sform_code: int
    quaternion: tuple[float, ...]
    origin: tuple[float, ...]
    sform_rows: tuple[float, ...]


class _Layout(NamedTuple):
    """One version: its magic, and the place of each field as (struct format, offset in bytes)."""

    version: int
    header_bytes: int
    magic_offset: int
    single_magic: bytes
    pair_magic: bytes
    fields: dict[str, tuple[str, int]]


_NIFTI_1 = _Layout(
    version=1,
    header_bytes=348,
    magic_offset=344,
    single_magic=b"n+1\0",
    pair_magic=b"ni1\0",
    fields={
        "datatype": ("h", 70),
        "bits": ("h", 72),
        "vox_offset": ("f", 108),
        "slope": ("f", 112),
        "intercept": ("f", 116),
        "units": ("B", 123),
        "qform_code": ("h", 252),
        "sform_code": ("h", 254),
        "dim": ("8h", 40),
        "pixdim": ("8f", 76),
        "quaternion": ("3f", 256),
        "origin": ("3f", 268),
        "sform_rows": ("12f", 280),
    },
)
_NIFTI_2 = _Layout(
    version=2,
    header_bytes=540,
    magic_offset=4,
    single_magic=b"n+2\0\r\n\x1a\n",
    pair_magic=b"ni2\0\r\n\x1a\n",
    fields={
        "datatype": ("h", 12),
        "bits": ("h", 14),
        "vox_offset": ("q", 168),
        "slope": ("d", 176),
        "intercept": ("d", 184),
        "qform_code": ("i", 344),
        "sform_code": ("i", 348),
        "units": ("i", 500),
        "dim": ("8q", 16),
        "pixdim": ("8d", 104),
        "quaternion": ("3d", 352),
        "origin": ("3d", 376),
        "sform_rows": ("12d", 400),
    },
)
_LAYOUTS = {layout.header_bytes: layout for layout in (_NIFTI_1, _NIFTI_2)}
FIRST_FIELD_BYTES = 4  # the header's own length, which tells version and byte order


def header_bytes(start: bytes) -> int:
    """Tell from the first four bytes how long the header is.

    Raises:
        InputDamaged: There are fewer than four bytes.
        InputUnsupported: They do not begin a NIfTI header.
    """
    return _layout(start)[0].header_bytes


def unpack_fields(raw: bytes) -> NiftiFields:
    """Unpack a header.

    Args:
        raw: The header, or more.

    Raises:
        InputDamaged: The bytes end inside the header.
        InputUnsupported: It is no NIfTI header of a single file.
    """
    layout, order = _layout(raw)
    if len(raw) < layout.header_bytes:
        raise _ends_inside_header(len(raw))
    _require_single_file(raw, layout)
    return _read_fields(raw, layout, order)


def _layout(raw: bytes) -> tuple[_Layout, ByteOrder]:
    if len(raw) < FIRST_FIELD_BYTES:
        raise _ends_inside_header(len(raw))
    for order in _BYTE_ORDERS:
        layout = _LAYOUTS.get(struct.unpack_from(f"{order}i", raw)[0])
        if layout is not None:
            return layout, order
    raise InputUnsupported(
        "this is not a NIfTI file", case=1, hint="name a .nii or .nii.gz made of the scan"
    )


def _ends_inside_header(count: int) -> InputDamaged:
    return InputDamaged(
        f"the file ends inside its header, after {count} bytes", case=1, hint="copy the file again"
    )


def _require_single_file(raw: bytes, layout: _Layout) -> None:
    magic = raw[layout.magic_offset :][: len(layout.single_magic)]
    if magic == layout.pair_magic:
        raise InputUnsupported(
            "the image is a pair of .hdr and .img",
            case=2,
            hint="convert it to a single .nii or .nii.gz file",
        )
    if magic != layout.single_magic:
        raise InputUnsupported(
            "the header has no NIfTI magic (ANALYZE 7.5, or damaged)",
            case=3,
            hint="convert the scan again, for example with dcm2niix",
        )


def _read_fields(raw: bytes, layout: _Layout, order: ByteOrder) -> NiftiFields:
    values = {
        name: struct.unpack_from(f"{order}{form}", raw, offset)
        for name, (form, offset) in layout.fields.items()
    }
    return NiftiFields(
        version=layout.version,
        byte_order=order,
        dim=values["dim"],
        datatype=values["datatype"][0],
        bits=values["bits"][0],
        pixdim=values["pixdim"],
        vox_offset=values["vox_offset"][0],
        slope=values["slope"][0],
        intercept=values["intercept"][0],
        units=values["units"][0],
        qform_code=values["qform_code"][0],
        sform_code=values["sform_code"][0],
        quaternion=values["quaternion"],
        origin=values["origin"],
        sform_rows=values["sform_rows"],
    )
