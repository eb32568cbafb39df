# SPDX-License-Identifier: Apache-2.0
"""Only the bundle that was published is opened, and what was hashed is what runs."""

import errno
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aminet_runtime import bundle_files
from aminet_runtime.bundle import (
    REQUIRED_FILES,
    Bundle,
    default_bundle_path,
    model_id,
    write_checksums,
)
from aminet_runtime.errors import ModelIncompatible, ModelInvalid, ModelUntrusted
from aminet_runtime.selftest import SelfTest, read_selftest, write_selftest

ALL_FILES = (*REQUIRED_FILES, "calibration.json", "SHA256SUMS")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and sockets of POSIX")


@pytest.fixture
def copied(bundle_path, tmp_path) -> Path:
    """A bundle of one's own, to be changed."""
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


def rewrite(folder, name, data):
    """Replace a file and let the checksums agree, as the publisher of a bad bundle would."""
    (folder / name).write_bytes(data)
    (folder / "SHA256SUMS").unlink()
    write_checksums(folder)


def manifest_lines(folder):
    return (folder / "SHA256SUMS").read_text().splitlines(keepends=True)


def test_opens_with_the_bytes_that_are_on_the_disk(bundle_path):
    bundle = Bundle.open(bundle_path)

    assert bundle.name == "bands-fp32"
    assert bundle.model_xml == (bundle_path / "model.xml").read_bytes()
    assert bundle.model_bin == (bundle_path / "model.bin").read_bytes()
    assert bundle.metadata.model_id == model_id(bundle.model_xml, bundle.model_bin)


def test_manifest_is_what_sha256sum_checks(bundle_path):
    answer = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=bundle_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("flip", [0x01, 0x20, 0xFF])
def test_each_changed_byte_is_noticed(copied, name, flip):
    """Every file of the bundle; every byte of the small ones, some of the others."""
    original = (copied / name).read_bytes()
    step = max(1, len(original) // 60)

    for position in (*range(0, len(original), step), len(original) - 1):
        damaged = bytearray(original)
        damaged[position] ^= flip
        (copied / name).write_bytes(damaged)
        with pytest.raises(ModelUntrusted) as caught:
            Bundle.open(copied)
        assert caught.value.exit_code == 21
    (copied / name).write_bytes(original)
    Bundle.open(copied)


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", lambda _: b""])
def test_each_changed_length_is_noticed(copied, name, change):
    (copied / name).write_bytes(change((copied / name).read_bytes()))

    with pytest.raises(ModelUntrusted):
        Bundle.open(copied)


def test_ensemble_is_named_as_one(tmp_path):
    (tmp_path / "vote" / "members" / "a").mkdir(parents=True)
    with pytest.raises(ModelInvalid, match=r"vote: this is an ensemble.*name one of its members"):
        Bundle.open(tmp_path / "vote")


@pytest.mark.parametrize("name", [*REQUIRED_FILES, "calibration.json"])
def test_missing_file_is_named(copied, name):
    (copied / name).unlink()

    with pytest.raises(ModelUntrusted, match="is not there") as caught:
        Bundle.open(copied)

    assert caught.value.path == copied / name


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_required_file_must_be_listed(copied, name):
    (copied / "SHA256SUMS").write_text(
        "".join(line for line in manifest_lines(copied) if not line.endswith(f"  {name}\n"))
    )

    with pytest.raises(ModelUntrusted, match="is not listed"):
        Bundle.open(copied)


def test_file_that_is_not_listed_is_not_looked_at(copied):
    (copied / "notes.txt").write_text("of the owner")

    assert Bundle.open(copied).name == "bands-fp32"


@pytest.mark.parametrize(
    "line",
    [
        f"{'0' * 64}  ../x\n",
        f"{'0' * 64}  /etc/passwd\n",
        f"{'0' * 64}  sub/model.xml\n",
        f"{'0' * 64}  sub\\model.xml\n",
        f"{'0' * 64}  ..\n",
        f"{'0' * 64}  .hidden\n",
        f"{'0' * 64} *model.onnx\n",
        f"{'0' * 64}\tmodel.onnx\n",
        f"{'0' * 63}  model.onnx\n",
        f"{'A' * 64}  model.onnx\n",
        f"{'0' * 64}  model.onnx\r\n",
        f"{'0' * 64}  \n",
        f"{'0' * 64}  model.xml\n",
        f"{'0' * 64}  {'x' * 101}\n",
        "\n",
        "# a comment\n",
        "no line break at the end",
        "\ufeff",
    ],
)
def test_malformed_manifest_line_is_refused(copied, line):
    with (copied / "SHA256SUMS").open("a", encoding="utf-8") as file:
        file.write(line)

    with pytest.raises(ModelUntrusted) as caught:
        Bundle.open(copied)

    assert caught.value.path == copied / "SHA256SUMS"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_as_manifest_crash_the_reader(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "SHA256SUMS").write_bytes(data)

    with pytest.raises(ModelUntrusted):
        Bundle.open(folder)


def test_endless_manifest_is_refused(copied):
    line = f"{'0' * 64}  file"
    (copied / "SHA256SUMS").write_text("".join(f"{line}{number}\n" for number in range(2000)))

    with pytest.raises(ModelUntrusted, match="the end is missing"):
        Bundle.open(copied)


@needs_posix
@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("kind", ["link", "broken link", "fifo", "socket", "folder", "device"])
def test_what_is_no_regular_file_is_refused_at_once(copied, name, kind, monkeypatch):
    target = copied / name
    content = target.read_bytes()
    target.unlink()
    monkeypatch.chdir(copied)  # the path of a socket may be no longer than 107 bytes
    if kind == "link":
        (copied / "elsewhere").write_bytes(content)
        target.symlink_to("elsewhere")
    elif kind == "broken link":
        target.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(target)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(name)
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("/dev/zero")

    with pytest.raises(ModelUntrusted, match="regular file"):
        Bundle.open(copied)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count")
def test_folder_in_the_place_of_a_file_is_not_left_open(copied):
    (copied / "model.bin").unlink()
    (copied / "model.bin").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(ModelUntrusted):
        Bundle.open(copied)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


@needs_posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read")
def test_unreadable_file_is_refused(copied):
    (copied / "model.bin").chmod(0)

    with pytest.raises(ModelUntrusted, match="may not be read"):
        Bundle.open(copied)


class FailingFile(io.BytesIO):
    """A file on a disk that fails."""

    def read(self, _count=-1):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("name", ALL_FILES)
def test_file_on_a_failing_disk_is_named(copied, name, monkeypatch):
    open_regular = bundle_files._open_regular
    monkeypatch.setattr(
        bundle_files,
        "_open_regular",
        lambda path: FailingFile() if path.name == name else open_regular(path),
    )

    with pytest.raises(ModelUntrusted, match="cannot be read") as caught:
        Bundle.open(copied)

    assert caught.value.code == "E2108"
    assert caught.value.path == copied / name


@needs_posix
def test_links_are_refused_without_help_of_the_system(copied, monkeypatch):
    """Windows has no O_NOFOLLOW and no O_NONBLOCK."""
    for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC"):
        monkeypatch.delattr(os, flag)
    Bundle.open(copied)
    (copied / "elsewhere").write_bytes((copied / "model.bin").read_bytes())
    (copied / "model.bin").unlink()
    (copied / "model.bin").symlink_to("elsewhere")

    with pytest.raises(ModelUntrusted):
        Bundle.open(copied)


@needs_posix
def test_linked_folder_is_opened(copied, tmp_path):
    (tmp_path / "current").symlink_to(copied)

    assert Bundle.open(tmp_path / "current").name == "bands-fp32"


def test_file_larger_than_the_cap_is_refused(copied, monkeypatch):
    monkeypatch.setattr(bundle_files, "MAX_FILE_BYTES", 1000)

    with pytest.raises(ModelUntrusted, match="more than 1000 bytes"):
        Bundle.open(copied)


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_what_is_no_bundle_says_so(tmp_path, kind):
    folder = tmp_path / "bundle"
    if kind == "file":
        folder.write_bytes(b"")
    elif kind == "empty":
        folder.mkdir()

    with pytest.raises(ModelInvalid, match="this is no bundle") as caught:
        Bundle.open(folder)

    assert caught.value.exit_code == 20


@pytest.mark.parametrize("content", [b"", b"garbage", b"{}", b"[1]", b'{"schema": 1}'])
def test_published_garbage_is_invalid_and_not_untrusted(copied, content):
    rewrite(copied, "metadata.json", content)

    with pytest.raises(ModelInvalid) as caught:
        Bundle.open(copied)

    assert caught.value.path == copied / "metadata.json"


def test_published_future_schema_is_incompatible(copied):
    values = json.loads((copied / "metadata.json").read_bytes())
    rewrite(copied, "metadata.json", json.dumps({**values, "schema": "aminet.bundle/2"}).encode())

    with pytest.raises(ModelIncompatible):
        Bundle.open(copied)


@pytest.mark.parametrize("name", ["model.xml", "model.bin"])
def test_network_of_another_bundle_is_refused_though_the_checksums_agree(copied, name):
    rewrite(copied, name, (copied / name).read_bytes() + b" ")

    with pytest.raises(ModelUntrusted, match="the id is not that of"):
        Bundle.open(copied)


def test_checksums_are_not_written_for_an_incomplete_bundle(copied):
    (copied / "README.md").unlink()

    with pytest.raises(ModelInvalid, match=r"the bundle has no README\.md"):
        write_checksums(copied)


@pytest.mark.parametrize("name", ["with space", "ümlaut", ".hidden"])
def test_checksums_are_not_written_for_names_that_a_bundle_may_not_hold(copied, name):
    (copied / name).write_bytes(b"")

    with pytest.raises(ModelUntrusted):
        write_checksums(copied)


def test_checksums_do_not_descend_into_folders(copied):
    (copied / "sub").mkdir()

    with pytest.raises(ModelUntrusted, match="regular file"):
        write_checksums(copied)


def test_default_bundle_is_in_the_package_or_its_absence_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("aminet_runtime.bundle.__file__", str(tmp_path / "bundle.py"))

    with pytest.raises(ModelInvalid, match=r"holds no mobilenetv2-int8 bundle; name one"):
        default_bundle_path()

    (tmp_path / "bundles" / "mobilenetv2-int8").mkdir(parents=True)
    assert default_bundle_path() == tmp_path / "bundles" / "mobilenetv2-int8"


def test_selftest_is_read_from_verified_bytes(copied):
    bundle = Bundle.open(copied)

    selftest = read_selftest(bundle)

    assert selftest.slices_hu.dtype == np.int16
    assert selftest.probabilities.shape == (len(selftest.slices_hu), 15)
    (copied / "selftest.npz").write_bytes((copied / "selftest.npz").read_bytes() + b"\0")
    with pytest.raises(ModelUntrusted):
        read_selftest(bundle)


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def odd_zip(*, flags=None, method=None, garble=False):
    """Return a self-test whose headers ask for something else, or whose stream is damaged."""
    data = bytearray(npz(slices_hu=SLICES, probabilities=ANSWERS))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        starts = [entry.header_offset for entry in archive.infolist()]
    central = [i for i in range(len(data)) if data[i : i + 4] == b"PK\x01\x02"]
    for local, entry in zip(starts, central, strict=True):
        if flags is not None:
            data[local + 6] = data[entry + 8] = flags
        if method is not None:
            data[local + 8] = data[entry + 10] = method
        if garble:
            name_length = int.from_bytes(data[local + 26 : local + 28], "little")
            extra_length = int.from_bytes(data[local + 28 : local + 30], "little")
            data[local + 30 + name_length + extra_length] = 0xFF  # no such kind of block
    return bytes(data)


SLICES = np.zeros((2, 1, 60, 60), np.int16)
ANSWERS = np.zeros((2, 15), np.float32)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"garbage", "no archive"),
        (npz(slices_hu=SLICES), "no archive"),
        (odd_zip(garble=True), "no archive"),
        (odd_zip(flags=1), "no archive"),
        (odd_zip(method=14), "otherwise than by zlib"),
        (odd_zip(method=99), "otherwise than by zlib"),
        (npz(slices_hu=SLICES, probabilities=np.array([{"a": 1}], dtype=object)), "no archive"),
        (npz(slices_hu=SLICES.astype(np.int32), probabilities=ANSWERS), "not int16 or float32"),
        (npz(slices_hu=SLICES[0], probabilities=ANSWERS), "not int16 or float32"),
        (npz(slices_hu=SLICES[:0], probabilities=ANSWERS[:0]), "not int16 or float32"),
        (npz(slices_hu=SLICES.repeat(3, axis=1), probabilities=ANSWERS), "has 3 planes, not 1"),
        (npz(slices_hu=SLICES, probabilities=ANSWERS[:1]), "not float32"),
        (npz(slices_hu=SLICES, probabilities=ANSWERS.astype(np.float64)), "not float32"),
        (npz(slices_hu=SLICES, probabilities=ANSWERS + 2), "outside of 0..1"),
        (npz(slices_hu=SLICES, probabilities=ANSWERS * np.nan), "outside of 0..1"),
    ],
)
def test_selftest_that_cannot_be_meant_is_invalid(copied, content, message):
    rewrite(copied, "selftest.npz", content)

    with pytest.raises(ModelInvalid, match=message) as caught:
        read_selftest(Bundle.open(copied))

    assert caught.value.path == copied / "selftest.npz"


def test_selftest_bomb_is_refused_before_it_is_unpacked(copied):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("slices_hu.npy", bytes(300 * 2**20))
    rewrite(copied, "selftest.npz", buffer.getvalue())

    with pytest.raises(ModelInvalid, match="unpacks to more than"):
        read_selftest(Bundle.open(copied))


def test_selftest_header_that_asks_for_a_terabyte_is_refused(copied):
    header = io.BytesIO()
    shape = {"descr": "<i2", "fortran_order": False, "shape": (10**6, 10**6)}
    np.lib.format.write_array_header_1_0(header, shape)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("slices_hu.npy", header.getvalue())
        archive.writestr("probabilities.npy", header.getvalue())
    rewrite(copied, "selftest.npz", buffer.getvalue())

    with pytest.raises(ModelInvalid):
        read_selftest(Bundle.open(copied))


def test_selftest_reads_back_what_was_written(tmp_path):
    write_selftest(tmp_path / "selftest.npz", SelfTest(SLICES, ANSWERS))

    with np.load(tmp_path / "selftest.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["slices_hu"], SLICES)
        assert np.array_equal(arrays["probabilities"], ANSWERS)


def test_hash_of_a_large_file_is_that_of_all_its_chunks(tmp_path):
    data = np.random.default_rng(0).bytes(3 * 2**20 + 1)
    (tmp_path / "file").write_bytes(data)

    assert bundle_files.hash_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()
