# SPDX-License-Identifier: Apache-2.0
"""The header, field by field, and the file from its first byte to its verified end."""

import gzip
import hashlib
import os
import socket
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from aminet_runtime import byte_source
from aminet_runtime.byte_source import CHUNK_BYTES, open_source
from aminet_runtime.errors import InputDamaged, InputMissing, InputUnsupported
from aminet_runtime.nifti import MAX_DATA_OFFSET_BYTES, parse_header
from aminet_runtime.nifti_file import NiftiFile

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def read(path):
    """All voxels [k, j, i] of a file whose end was verified, and its hash."""
    with NiftiFile(path) as file:
        voxels = np.empty(file.header.shape[::-1], file.header.dtype)
        for stored_slice in voxels:
            file.read_slice(stored_slice)
        file.finish()
        return voxels, file.sha256


# --- the header ---


def test_reads_what_matters_of_a_header(any_nifti):
    header = parse_header(any_nifti.with_fields(scl_slope=2.0, scl_inter=-1024.0).head())
    assert header.version == any_nifti.version
    assert header.shape == (5, 7, 3)
    assert all(type(length) is int for length in header.shape)
    assert header.dtype == np.dtype(np.int16).newbyteorder(any_nifti.byte_order)
    assert (header.slope, header.intercept) == (2.0, -1024.0)
    assert np.array_equal(header.affine, any_nifti.affine)
    assert header.affine.dtype == np.float64
    assert header.spacing_mm == (0.5, 0.75, 1.25)
    assert header.data_offset == {1: 352, 2: 544}[any_nifti.version]
    assert header.data_bytes == 5 * 7 * 3 * 2


def test_a_header_cannot_be_changed(small_nifti):
    header = parse_header(small_nifti.head())
    with pytest.raises(ValueError, match="read-only"):
        header.affine[0, 0] = 1
    with pytest.raises(AttributeError):
        header.slope = 3.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_each_plain_datatype(dtype, any_nifti, nifti):
    voxels = any_nifti.voxels.astype(dtype)
    image = nifti(voxels=voxels, version=any_nifti.version, byte_order=any_nifti.byte_order)
    assert parse_header(image.head()).dtype == np.dtype(any_nifti.byte_order + dtype)


@pytest.mark.parametrize("slope", [0.0, float("nan")])
@pytest.mark.parametrize("intercept", [0.0, -1024.0, float("nan"), float("inf")])
def test_a_slope_of_zero_or_nan_means_no_scaling(slope, intercept, any_nifti):
    header = parse_header(any_nifti.with_fields(scl_slope=slope, scl_inter=intercept).head())
    assert (header.slope, header.intercept) == (1.0, 0.0)


@pytest.mark.parametrize(
    "dim", [(4, 5, 7, 3, 1, 0, 0, 0), (7, 5, 7, 3, 1, 1, 1, 1), (3, 5, 7, 3, 9, -1, 0, 44)]
)
def test_further_axes_of_length_one_are_no_axes(dim, any_nifti):
    assert parse_header(any_nifti.with_fields(dim=dim).head()).shape == (5, 7, 3)


def test_spacing_is_the_same_from_float32_and_float64(nifti, small_nifti):
    affine = np.diag([-0.4882813, -0.4882813, 0.7, 1.0])
    headers = [
        parse_header(nifti(voxels=small_nifti.voxels, affine=affine, version=version).head())
        for version in (1, 2)
    ]
    assert headers[0].spacing_mm == headers[1].spacing_mm == (0.488281, 0.488281, 0.7)


@pytest.mark.parametrize("qfac", [0.0, 1.0])
def test_a_qfac_of_zero_means_one(qfac, small_nifti):
    plain = small_nifti.with_fields(sform_code=0, quatern=(0, 0, 0), pixdim=(qfac, 1, 2, 3))
    image = plain.with_fields(pixdim=(qfac, 1.0, 2.0, 3.0, 0, 0, 0, 0), qoffset=(4, 5, 6))
    expected = [[1, 0, 0, 4], [0, 2, 0, 5], [0, 0, 3, 6], [0, 0, 0, 1]]
    assert np.array_equal(parse_header(image.head()).affine, expected)


NAN, INF = float("nan"), float("inf")
REFUSED_HEADERS = [
    ("E1204", "no single volume", {"dim": (2, 5, 7, 1, 1, 1, 1, 1)}),
    ("E1204", "no single volume", {"dim": (4, 5, 7, 3, 2, 1, 1, 1)}),
    ("E1204", "no single volume", {"dim": (5, 5, 7, 3, 1, 3, 1, 1)}),
    ("E1204", "no single volume", {"dim": (0, 5, 7, 3, 1, 1, 1, 1)}),
    ("E1204", "no single volume", {"dim": (8, 5, 7, 3, 1, 1, 1, 1)}),
    ("E1204", "no single volume", {"dim": (-3, 5, 7, 3, 1, 1, 1, 1)}),
    ("E1205", "0 x 7 x 3 is outside of 1..4096", {"dim": (3, 0, 7, 3, 1, 1, 1, 1)}),
    ("E1205", "5 x -7 x 3 is outside", {"dim": (3, 5, -7, 3, 1, 1, 1, 1)}),
    ("E1205", "5 x 7 x 4097 is outside", {"dim": (3, 5, 7, 4097, 1, 1, 1, 1)}),
    ("E1205", "2147483648 voxels", {"dim": (3, 4096, 4096, 129, 1, 1, 1, 1)}),
    ("E1206", r"datatype 32 \(complex64\)", {"datatype": 32}),
    ("E1206", r"datatype 128 \(RGB\)", {"datatype": 128}),
    ("E1206", r"datatype 2304 \(RGBA\)", {"datatype": 2304}),
    ("E1206", r"datatype 1 \(bitmap\)", {"datatype": 1}),
    ("E1206", r"datatype 1536 \(float128\)", {"datatype": 1536}),
    ("E1206", r"datatype 0 \(unknown\)", {"datatype": 0}),
    ("E1206", r"datatype -4 \(not in the standard\)", {"datatype": -4}),
    ("E1207", "8 bits a voxel, but int16 has 16", {"bitpix": 8}),
    ("E1209", "slope inf", {"scl_slope": INF}),
    ("E1209", "slope 1e[+]30", {"scl_slope": 1e30}),
    ("E1209", "slope 1e-30", {"scl_slope": 1e-30}),
    ("E1209", "intercept nan", {"scl_inter": NAN}),
    ("E1209", "intercept -inf", {"scl_inter": -INF}),
    ("E1210", "unit code 1", {"xyzt_units": 1}),
    ("E1210", "unit code 11", {"xyzt_units": 11}),
    ("E1211", "voxel size 0 x 0.75 x 1.25", {"pixdim": (1, 0, 0.75, 1.25, 0, 0, 0, 0)}),
    ("E1211", "voxel size 0.5 x -0.75", {"pixdim": (1, 0.5, -0.75, 1.25, 0, 0, 0, 0)}),
    ("E1211", "voxel size 0.5 x nan", {"pixdim": (1, 0.5, NAN, 1.25, 0, 0, 0, 0)}),
    ("E1211", "voxel size 0.5 x 0.75 x inf", {"pixdim": (1, 0.5, 0.75, INF, 0, 0, 0, 0)}),
    ("E1211", "outside of 0.01..100 mm", {"pixdim": (1, 500, 750, 1250, 0, 0, 0, 0)}),
    ("E1212", "sform code 6", {"sform_code": 6}),
    ("E1212", "qform code -1", {"qform_code": -1}),
    ("E1213", "no rotation", {"quatern": (0.8, 0.8, 0.8)}),
    ("E1213", "qfac 0.5", {"pixdim": (0.5, 0.5, 0.75, 1.25, 0, 0, 0, 0)}),
    ("E1213", "qfac nan", {"pixdim": (NAN, 0.5, 0.75, 1.25, 0, 0, 0, 0)}),
    ("E1214", "qform holds values that are not finite", {"quatern": (NAN, 0, 0)}),
    ("E1214", "qform holds values that are not finite", {"qoffset": (0, INF, 0)}),
    ("E1214", "beyond 1e[+]06 mm", {"qoffset": (0, 0, 2e6)}),
    ("E1214", "sform holds values that are not finite", {"srow": (NAN,) * 12}),
    ("E1214", "sform holds values that are not finite", {"srow": (1, 0, 0, INF) * 3}),
    ("E1220", "does not say how the patient lies", {"qform_code": 0, "sform_code": 0}),
    ("E1222", "the sform has voxels of 0 x 0 x 0 mm", {"srow": (0.0,) * 12}),
    ("E1225", "qform says RAS, but the sform says LPS", {"quatern": (0, 0, 0)}),
]


@pytest.mark.parametrize(("code", "message", "fields"), REFUSED_HEADERS)
def test_refuses_a_header(code, message, fields, any_nifti, tmp_path):
    path = tmp_path / "CTA2regA.nii"
    with pytest.raises(InputUnsupported, match=message) as refusal:
        parse_header(any_nifti.with_fields(**fields).head(), path=path)
    assert refusal.value.code == code
    assert refusal.value.path == path
    assert refusal.value.hint
    assert "Doe" not in str(refusal.value)


@pytest.mark.parametrize("offset", [0, 347, 351, -1, MAX_DATA_OFFSET_BYTES + 2, 352.5, NAN, INF])
def test_refuses_an_impossible_place_of_the_voxels(offset, small_nifti):
    with pytest.raises(InputUnsupported, match="voxels start at byte") as refusal:
        parse_header(small_nifti.with_fields(vox_offset=offset).head())
    assert refusal.value.code == "E1208"


@pytest.mark.parametrize("offset", [0, 543, -(2**62), 2**62])
def test_refuses_an_impossible_place_of_the_voxels_in_nifti_2(offset, nifti, small_nifti):
    image = nifti(voxels=small_nifti.voxels, version=2, fields={"vox_offset": offset})
    with pytest.raises(InputUnsupported, match=r"outside of 544..16777216") as refusal:
        parse_header(image.head())
    assert refusal.value.code == "E1208"


def test_sizes_of_nifti_2_do_not_overflow(nifti, small_nifti):
    image = nifti(voxels=small_nifti.voxels, version=2, fields={"dim": (3, *[2**62] * 3, *[1] * 4)})
    with pytest.raises(InputUnsupported, match=f"{2**62} x {2**62} x {2**62} is outside"):
        parse_header(image.head())


@pytest.mark.parametrize(("version", "magic"), [(1, b"ni1\0"), (2, b"ni2\0\r\n\x1a\n")])
def test_refuses_a_pair_of_files(version, magic, nifti, small_nifti):
    image = nifti(voxels=small_nifti.voxels, version=version, fields={"magic": magic})
    with pytest.raises(InputUnsupported, match=r"a pair of .hdr and .img; convert it") as refusal:
        parse_header(image.head())
    assert refusal.value.code == "E1202"


@pytest.mark.parametrize(("version", "magic"), [(1, b"\0\0\0\0"), (2, b"n+2\0\n\x1a\n\0")])
def test_refuses_a_header_without_its_magic(version, magic, nifti, small_nifti):
    image = nifti(voxels=small_nifti.voxels, version=version, fields={"magic": magic})
    with pytest.raises(InputUnsupported, match="no NIfTI magic") as refusal:
        parse_header(image.head())
    assert refusal.value.code == "E1203"


def test_refuses_what_is_no_nifti():
    with pytest.raises(InputUnsupported, match="not a NIfTI file") as refusal:
        parse_header(bytes(128) + b"DICM" + bytes(1000))
    assert refusal.value.code == "E1201"


def test_refuses_every_part_of_a_header(any_nifti):
    head = any_nifti.head()[:-4]
    for length in range(len(head)):
        with pytest.raises(InputDamaged, match=f"inside its header, after {length} b") as refusal:
            parse_header(head[:length])
        assert refusal.value.code == "E1101"


# --- the file ---


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("name", ["CTA1.nii", "CTA1.nii.gz", "CTA1"])
def test_trusts_the_first_bytes_and_not_the_name(name, gzipped, any_nifti, tmp_path):
    path = any_nifti.write(tmp_path / name, gzipped=gzipped)
    voxels, sha256 = read(path)
    assert np.array_equal(voxels.transpose(2, 1, 0), any_nifti.voxels)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["CTA1.nii", "CTA1.nii.gz"])
@pytest.mark.parametrize("extension_bytes", [16, CHUNK_BYTES, 3 * CHUNK_BYTES + 16])
def test_skips_extensions(name, extension_bytes, nifti, small_nifti, tmp_path):
    image = nifti(voxels=small_nifti.voxels, extension=b"Doe^John" * (extension_bytes // 8))
    voxels, _ = read(image.write(tmp_path / name))
    assert np.array_equal(voxels.transpose(2, 1, 0), image.voxels)


def test_the_hash_waits_for_the_end(small_nifti, tmp_path):
    with (
        NiftiFile(small_nifti.write(tmp_path / "CTA1.nii.gz")) as file,
        pytest.raises(ValueError, match="only after the file was read"),
    ):
        _ = file.sha256


def test_the_end_is_only_where_all_slices_are_read(small_nifti, tmp_path):
    with (
        NiftiFile(small_nifti.write(tmp_path / "CTA1.nii.gz")) as file,
        pytest.raises(ValueError, match="before the last slice"),
    ):
        file.finish()


def test_missing_file(tmp_path):
    with pytest.raises(InputMissing, match=r"CTA1.nii: there is no such file") as refusal:
        NiftiFile(tmp_path / "CTA1.nii")
    assert refusal.value.code == "E1001"


@pytest.mark.parametrize("name", ["", "file/CTA1.nii", "nul\0.nii", "long" * 100])
def test_what_cannot_be_opened(name, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputMissing, match="cannot be opened") as refusal:
        NiftiFile(tmp_path / name)
    assert refusal.value.code == "E1002"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_file_without_permission(small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii")
    path.chmod(0)
    with pytest.raises(InputMissing, match="Permission denied"):
        NiftiFile(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only")
def test_refuses_a_fifo_at_once(tmp_path):
    path = tmp_path / "CTA1.nii"
    os.mkfifo(path)
    with pytest.raises(InputMissing, match="not a regular file") as refusal:
        NiftiFile(path)
    assert refusal.value.code == "E1003"


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="POSIX only")  # noqa: PTH110
def test_refuses_a_device(tmp_path):
    (tmp_path / "CTA1.nii").symlink_to("/dev/zero")
    with pytest.raises(InputMissing, match="not a regular file"):
        NiftiFile(tmp_path / "CTA1.nii")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="POSIX only")
def test_refuses_a_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may have 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("CTA1.nii")
        with pytest.raises(InputMissing, match="cannot be opened"):
            NiftiFile(tmp_path / "CTA1.nii")


def test_follows_links(small_nifti, tmp_path):
    target = small_nifti.write(tmp_path / "scan.nii.gz")
    (tmp_path / "CTA1.nii").symlink_to(target)
    assert np.array_equal(read(tmp_path / "CTA1.nii")[0], read(target)[0])


@pytest.mark.parametrize("name", ["O_NONBLOCK", "O_NOCTTY"])
def test_opens_files_where_posix_flags_are_unknown(name, small_nifti, tmp_path, monkeypatch):
    monkeypatch.delattr(os, name, raising=False)  # as on Windows
    voxels, _ = read(small_nifti.write(tmp_path / "CTA1.nii.gz"))
    assert np.array_equal(voxels.transpose(2, 1, 0), small_nifti.voxels)


def test_disk_errors_are_damage(small_nifti, tmp_path, monkeypatch):
    class BadDisk(byte_source.io.FileIO):
        def readinto(self, _buffer):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(byte_source.io, "FileIO", BadDisk)
    with pytest.raises(InputDamaged, match=r"cannot be read \(Input/output error\)") as refusal:
        NiftiFile(small_nifti.write(tmp_path / "CTA1.nii"))
    assert refusal.value.code == "E1106"


def test_closes_the_file_whatever_happens(small_nifti, tmp_path):
    path = small_nifti.with_fields(datatype=32).write(tmp_path / "CTA1.nii")
    script = (
        "import sys, warnings, gc\n"
        "warnings.simplefilter('error')\n"
        "from pathlib import Path\n"
        "from aminet_runtime.nifti_file import NiftiFile\n"
        "try:\n    NiftiFile(Path(sys.argv[1]))\n"
        "except ValueError as error:\n    print(error.code)\n"
        "gc.collect()\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "E1206\n"
    assert "ResourceWarning" not in done.stderr


# --- damage ---


@pytest.mark.parametrize("gzipped", [False, True])
def test_names_the_slice_where_a_file_ends(gzipped, small_nifti, tmp_path):
    path = tmp_path / "CTA2regA.nii"
    content = small_nifti.content()[: -5 * 7 * 2 - 1]  # a slice and a byte
    path.write_bytes(gzip.compress(content)[:-8] if gzipped else content)
    kind = "gzip stream" if gzipped else "file"
    with pytest.raises(InputDamaged, match=f"the {kind} ends at slice 2 of 3; copy") as refusal:
        read(path)
    assert refusal.value.code == "E1102"


def test_plain_files_of_the_wrong_size_are_refused_before_reading(small_nifti, tmp_path):
    path = tmp_path / "CTA1.nii"
    path.write_bytes(small_nifti.content()[:-1])
    with pytest.raises(InputDamaged, match="ends at slice 3 of 3"):
        NiftiFile(path)


def test_a_file_that_shrinks_while_it_is_read_is_damaged(small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii")
    with NiftiFile(path) as file:
        os.truncate(path, file.header.data_offset + 10)
        with pytest.raises(InputDamaged, match="the file ends at slice 1 of 3"):
            file.read_slice(np.empty((7, 5), np.int16))


def test_a_file_that_grows_while_it_is_read_is_damaged(small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii")
    with NiftiFile(path) as file:
        for _ in range(3):
            file.read_slice(np.empty((7, 5), np.int16))
        with path.open("ab") as more:
            more.write(b"\0")
        with pytest.raises(InputDamaged, match="bytes follow the last voxel") as refusal:
            file.finish()
    assert refusal.value.code == "E1104"


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("more", [b"\0", b"\0" * CHUNK_BYTES, b"voxels"])
def test_nothing_may_follow_the_voxels(gzipped, more, small_nifti, tmp_path):
    content = small_nifti.content() + more
    path = tmp_path / "CTA1.nii"
    path.write_bytes(gzip.compress(content) if gzipped else content)
    with pytest.raises(InputDamaged, match="bytes follow the last voxel") as refusal:
        read(path)
    assert refusal.value.code == "E1104"


def test_zeros_may_follow_the_gzip_stream_and_enter_the_hash(small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii.gz")
    path.write_bytes(path.read_bytes() + bytes(2 * CHUNK_BYTES))
    voxels, sha256 = read(path)
    assert np.array_equal(voxels.transpose(2, 1, 0), small_nifti.voxels)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("padding", [0, 1, 2 * CHUNK_BYTES])
def test_nothing_else_may_follow_the_gzip_stream(padding, small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii.gz")
    path.write_bytes(path.read_bytes() + bytes(padding) + b"more")
    with pytest.raises(InputDamaged, match="bytes follow the end of the gzip stream") as refusal:
        read(path)
    assert refusal.value.code == "E1105"


@pytest.mark.parametrize("size", [1, 30, 100, 1000])
def test_reads_gzip_files_of_many_members(size, small_nifti, tmp_path):
    content = small_nifti.content()
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    path = tmp_path / "CTA1.nii.gz"
    path.write_bytes(b"".join(gzip.compress(piece) for piece in [*pieces, b""]))
    voxels, _ = read(path)
    assert np.array_equal(voxels.transpose(2, 1, 0), small_nifti.voxels)


def test_headers_of_gzip_members_may_lie_across_chunks(tmp_path):
    """With all optional fields, at ever other places of the chunks in which the file is read."""
    rng = np.random.default_rng(0)
    pieces = [rng.integers(0, 256, 60, dtype=np.uint8).tobytes() for _ in range(3000)]
    path = tmp_path / "bytes.gz"
    path.write_bytes(b"".join(gzip_member(piece) for piece in pieces))
    assert path.stat().st_size > 5 * CHUNK_BYTES
    source = open_source(path)
    got = bytearray(len(pieces) * 60)
    assert source.read_into(memoryview(got)) == len(got)
    source.finish()
    source.close()
    assert got == b"".join(pieces)


def gzip_member(data):
    """A gzip member whose header has an extra field, a name, a comment and a check sum."""
    header = b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x64\x00" + b"x" * 100
    header += b"name" * 9 + b"\0" + b"comment" * 9 + b"\0"
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    raw_deflate = zlib.compress(data)[2:-4]
    return header + raw_deflate + struct.pack("<LL", zlib.crc32(data), len(data))


def test_a_wrong_check_sum_is_damage(small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii.gz")
    raw = bytearray(path.read_bytes())
    raw[-8] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputDamaged, match=r"CTA1.nii.gz: the gzip stream is damaged") as refusal:
        read(path)
    assert refusal.value.code == "E1103"
    assert "checksum" in str(refusal.value)


def test_a_missing_check_sum_is_damage(small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii.gz")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputDamaged, match="cut off before its check sum") as refusal:
        read(path)
    assert refusal.value.code == "E1102"


# --- bombs ---


def peak_bytes(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_in_the_extension_is_refused_by_its_size(small_nifti, tmp_path):
    path = tmp_path / "CTA1.nii.gz"
    image = small_nifti.with_fields(vox_offset=float(2**29))
    path.write_bytes(gzip.compress(image.head() + bytes(2**25), 9))

    def refuse():
        with pytest.raises(InputUnsupported, match="voxels start at byte"):
            NiftiFile(path)

    assert peak_bytes(refuse) < 2**20


def test_a_bomb_behind_the_voxels_is_not_inflated(small_nifti, tmp_path):
    path = tmp_path / "CTA1.nii.gz"
    path.write_bytes(gzip.compress(small_nifti.content() + bytes(2**26), 9))

    def refuse():
        with pytest.raises(InputDamaged, match="bytes follow the last voxel"):
            read(path)

    assert peak_bytes(refuse) < 2**20


def test_a_header_that_announces_much_allocates_nothing(small_nifti, tmp_path):
    path = tmp_path / "CTA1.nii.gz"
    dim = (3, 1024, 1024, 2048, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(small_nifti.with_fields(dim=dim).content()))
    assert peak_bytes(lambda: NiftiFile(path).close()) < 2**20


def test_reads_at_most_what_is_asked_for(tmp_path):
    path = tmp_path / "bytes.gz"
    raw = np.random.default_rng(0).integers(0, 9, 3 * CHUNK_BYTES, dtype=np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw))
    source = open_source(path)
    got = bytearray()
    for size in (1, 2, 3, CHUNK_BYTES - 1, CHUNK_BYTES + 1, 7 * CHUNK_BYTES):
        piece = bytearray(size)
        got += piece[: source.read_into(memoryview(piece))]
    source.finish()
    source.close()
    assert got == raw
