# SPDX-License-Identifier: Apache-2.0
"""The catalogue of faults: each way in which a run can be wrong, and the code that it must have.

A row is a name, the code on stderr (None: the run must succeed), and what to do to a good case
before it runs. All rows go through the real command, in this process. Whatever the fault, there is
one line on stderr, no result, and nothing left behind.
"""

import gzip
import json
import os
import shutil
import socket
import stat
import struct
import time
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aminet_runtime import session as session_module
from aminet_runtime.bundle_files import write_manifest
from aminet_runtime.cli import main
from aminet_runtime.patient import Channel

NAN, INF = float("nan"), float("inf")


@dataclass
class Case:
    """A good case, to be spoiled: one patient, a copy of a bundle, a place for results."""

    folder: Path
    bundle: Path
    output: Path
    head: np.ndarray
    make_nifti: object
    monkeypatch: pytest.MonkeyPatch
    words: list = field(default_factory=list)
    bundle_words: list | None = None
    patients: list | None = None
    place: str = "379"

    @property
    def scan(self):
        return self.folder / "CTA2regA.nii.gz"

    @property
    def all_words(self):
        bundle = ["--bundle", str(self.bundle)]
        patients = [self.folder] if self.patients is None else self.patients
        chosen = bundle if self.bundle_words is None else self.bundle_words
        place = ["-o", str(self.output)]
        return [*chosen, *place, *self.words, *map(str, patients)]

    @property
    def last_place(self):
        """Where results go: the last option counts."""
        places = [place for option, place in pairwise(self.all_words) if option == "-o"]
        return Path(places[-1])

    def write(self, content, name="CTA2regA.nii.gz"):
        (self.folder / name).write_bytes(content)

    def plain(self, voxels=None, **options):
        return self.make_nifti(self.head if voxels is None else voxels, **options)

    def store(self, voxels=None, name="CTA2regA.nii.gz", **options):
        self.write(self.plain(voxels, **options), name)


# --- how to spoil a case; each returns a function of the case


def words(*added):
    return lambda case: case.words.extend(added)


def patients(*named):
    return lambda case: setattr(case, "patients", list(named))


def called(name, place):
    """Give the patient another name, and say where the results are then looked for."""

    def spoil(case):
        case.folder = case.folder.rename(case.folder.parent / name)
        case.place = place

    return spoil


def content(data):
    return lambda case: case.write(data)


def of_gzip(change):
    """Change the bytes of the gzip stream."""
    return lambda case: case.write(change(gzip.compress(case.plain(), 1, mtime=0)))


def of_plain(change):
    """Change the bytes of the file before it is compressed."""
    return lambda case: case.write(gzip.compress(change(case.plain()), 1))


def header(offset, form, *values):
    """Put values into the NIfTI-1 header; offsets are those of nifti1.h."""

    def change(data):
        changed = bytearray(data)
        struct.pack_into(f"<{form}", changed, offset, *values)
        return bytes(changed)

    return of_plain(change)


def srow(*rows):
    return header(280, "12f", *(number for row in rows for number in row))


def voxels(change, **options):
    """Change the voxels [Z, H, W]."""
    return lambda case: case.store(change(case.head.copy()), **options)


def spacing(x, y, z):
    return lambda case: case.store(spacing_mm=(x, y, z))


def instead_of_scan(make):
    """Put something else than a file in the scan's place."""

    def spoil(case):
        case.scan.unlink()
        make(case.scan)

    return spoil


def open_socket(path):
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def in_bundle(name, data):
    """Change a file of the bundle behind the back of its check sums."""
    return lambda case: (case.bundle / name).write_bytes(data)


def republished(name, change):
    """Change a file of the bundle and publish it anew, with right check sums."""

    def spoil(case):
        path = case.bundle / name
        path.write_bytes(change(path.read_bytes()))
        write_manifest(case.bundle)

    return spoil


def metadata(**changes):
    def change(data):
        values = json.loads(data)
        for key, value in changes.items():
            inner, _, last = key.rpartition("__")
            place = values[inner] if inner else values
            if value is ...:
                del place[last]
            else:
                place[last] = value
        return json.dumps(values).encode()

    return republished("metadata.json", change)


def manifest(change):
    def spoil(case):
        path = case.bundle / "SHA256SUMS"
        path.write_text(change(path.read_text()))

    return spoil


def bundle_entry(make, name="model.bin"):
    def spoil(case):
        (case.bundle / name).unlink()
        make(case.bundle / name)

    return spoil


def output(make):
    """Let the place for results be something else."""
    return lambda case: make(case.output)


def patched(target, name, value):
    return lambda case: case.monkeypatch.setattr(target, name, value)


def variable(name, value):
    return lambda case: case.monkeypatch.setenv(name, value)


def both(*spoils):
    def spoil(case):
        for one in spoils:
            one(case)

    return spoil


def other_channel(name, channel):
    """Add a second channel to the bundle's wishes, and its file or something like it."""

    def spoil(case):
        case.bundle_channels = channel
        case.store(name=name)

    return spoil


def atlas_of(change, **options):
    """Give the patient an atlas; only for bundles that read it."""

    def spoil(case):
        labels = np.arange(case.head.shape[2]) * 15 // case.head.shape[2]
        atlas = np.broadcast_to(labels, case.head.shape).astype(np.int16)
        case.store(change(atlas.copy()), "ATLASMASKregA.nii", **options)

    return spoil


def map_of(change, slope=0.001):
    def spoil(case):
        damage = np.clip(case.head, 0, 1000).astype(np.int16)
        case.store(change(damage), "SpiralregA.nii", slope=slope)

    return spoil


def symlink_loop(path):
    path.symlink_to(path.name)


def hang(*_args, **_options):
    time.sleep(30)


def out_of_memory(*_args, **_options):
    raise MemoryError


def interrupt(*_args, **_options):
    raise KeyboardInterrupt


def same(data):
    return data


def nothing(_case):
    pass


def put(value, where=(5, 30, 30)):
    def change(values):
        values[where] = value
        return values

    return change


BOMB = gzip.compress(bytes(2**24), 9)

COMMAND_LINE = [
    ("no patient", "E0210", patients()),
    ("empty name", "E0210", patients("")),
    ("unknown option", "E0201", words("--bogus")),
    ("option without value", "E0201", words("--threads")),
    ("no threads", "E0201", words("--threads", "0")),
    ("half a thread", "E0201", words("--threads", "0.5")),
    ("negative time", "E0201", words("--time-limit=-1")),
    ("no time", "E0201", words("--time-limit", "0")),
    ("endless time", "E0201", words("--time-limit", "inf")),
    ("memory without unit", "E0201", words("--memory-limit", "8")),
    ("memory in another unit", "E0201", words("--memory-limit", "8parsec")),
    ("no memory", "E0201", words("--memory-limit", "0GiB")),
    ("no jobs", "E0201", words("--jobs", "0")),
    ("unknown engine", "E0201", words("--engine", "tensorrt")),
    ("doctor with a patient", "E0202", words("--doctor")),
    ("same patient twice", "E0212", lambda case: setattr(case, "patients", [case.folder] * 2)),
    ("abbreviated option", "E0201", words("--thr", "1")),
]

FOLDERS = [
    ("folder is missing", "E1010", patients("nowhere")),
    ("folder is a file", "E1013", lambda case: setattr(case, "patients", [case.scan])),
    ("folder is empty", "E1011", lambda case: case.scan.unlink()),
    ("folder of the cohort", "E1011", lambda case: setattr(case, "patients", [case.folder.parent])),
    ("other channel only", "E1012", lambda case: case.scan.rename(case.folder / "CTA1.nii.gz")),
    ("name with a null", "E1013", patients("a\0b")),
    ("name too long", "E1013", patients("x" * 5000)),
    (
        "link to nowhere",
        "E1010",
        both(
            lambda case: (case.folder.parent / "link").symlink_to("nowhere"),
            lambda case: setattr(case, "patients", [case.folder.parent / "link"]),
        ),
    ),
    (
        "link to itself",
        "E1013",
        both(
            lambda case: symlink_loop(case.folder.parent / "link"),
            lambda case: setattr(case, "patients", [case.folder.parent / "link"]),
        ),
    ),
    (
        "link to the folder",
        None,
        both(
            lambda case: (case.folder.parent / "link").symlink_to(case.folder),
            lambda case: setattr(case, "patients", [case.folder.parent / "link"]),
            lambda case: setattr(case, "place", "link"),
        ),
    ),
    ("scan is there twice", "E1310", lambda case: case.store(name="CTA2regA.nii")),
    ("scan is there twice but for case", "E1310", lambda case: case.store(name="cta2REGA.nii.gz")),
    ("other files beside it", None, lambda case: case.write(b"x", "notes.txt")),
    ("suffix in capitals", None, lambda case: case.scan.rename(case.folder / "CTA2REGA.NII.GZ")),
    ("gzipped but called nii", None, lambda case: case.scan.rename(case.folder / "CTA2regA.nii")),
    ("called gz but plain", None, lambda case: case.store()),
]

NAMES = [
    ("patient is called as a device", called("CON", "%43ON")),
    ("patient is called as a device with a suffix", called("nul.2024", "%6Eul.2024")),
    ("patient is called as a device and a blank", called("AUX .x", "%41UX .x")),
    ("patient is called as a port", called("com7", "%63om7")),
    ("patient is called as a port with a raised digit", called("LPT²", "%4CPT²")),
    ("patient is called as the console", called("CONOUT$", "%43ONOUT$")),
    ("patient is called nearly as a device", called("CON1", "CON1")),
    ("patient's name holds a device", called("my.nul", "my.nul")),
    ("patient's name ends in a dot", called("379.", "379%2E")),
    ("patient's name ends in a space", called("379 ", "379%20")),
    ("patient's name is dots", called("...", "..%2E")),
    ("patient's name begins with a dot", called(".379", ".379")),
    ("patient's name holds a colon", called("12:30", "12%3A30")),
    ("patient's name holds a backslash", called("a\\..\\b", "a%5C..%5Cb")),
    ("patient's name holds all that Windows refuses", called('<>"|?*', "%3C%3E%22%7C%3F%2A")),
    ("patient's name holds a line break", called("a\nb", "a%0Ab")),
    ("patient's name is no text", called("\udcff", "%FF")),
    ("patient's name holds a percent sign", called("50 %", "50 %")),
    ("patient's name looks escaped", called("12%3A30", "12%253A30")),
    ("patient's name is two words in letters of the world", called("Ö 血管", "Ö 血管")),
]

FILES = [
    ("scan is a folder", "E1002", instead_of_scan(lambda path: path.mkdir())),
    ("scan is a pipe", "E1003", instead_of_scan(os.mkfifo)),
    ("scan is a socket", "E1002", instead_of_scan(open_socket)),
    ("scan is a device", "E1003", instead_of_scan(lambda path: path.symlink_to("/dev/zero"))),
    ("scan is a link to nowhere", "E1001", instead_of_scan(lambda path: path.symlink_to("gone"))),
    ("scan is a link to itself", "E1002", instead_of_scan(symlink_loop)),
    ("scan is empty", "E1101", content(b"")),
    ("scan is one byte", "E1101", content(b"\x1f")),
    ("scan is text", "E1201", content(b"This is no scan. " * 40)),
    ("scan is DICOM", "E1201", content(bytes(128) + b"DICM" + bytes(400))),
    ("scan is a ZIP", "E1201", content(b"PK\x03\x04" + bytes(400))),
    ("scan is bzip2", "E1201", content(b"BZh91AY&SY" + bytes(400))),
    ("scan is zeros", "E1201", content(bytes(4000))),
    ("scan is in a pair of files", "E1202", header(344, "4s", b"ni1\0")),
    ("magic is missing", "E1203", header(344, "4s", b"\0\0\0\0")),
]

STREAMS = [
    ("gzip is cut in its header", "E1101", of_gzip(lambda raw: raw[:5])),
    ("gzip is cut in the NIfTI header", "E1101", of_gzip(lambda raw: raw[:60])),
    ("gzip is cut in the middle", "E1102", of_gzip(lambda raw: raw[: len(raw) // 2])),
    ("gzip is cut before its check sum", "E1102", of_gzip(lambda raw: raw[:-8])),
    ("gzip is cut by one byte", "E1102", of_gzip(lambda raw: raw[:-1])),
    ("check sum is wrong", "E1103", of_gzip(lambda raw: raw[:-8] + b"\0\0\0\0" + raw[-4:])),
    ("length is wrong", "E1103", of_gzip(lambda raw: raw[:-4] + b"\0\0\0\0")),
    (
        "bit is flipped in the middle",
        "E1103",
        of_gzip(
            lambda raw: (
                raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 4]) + raw[len(raw) // 2 + 1 :]
            )
        ),
    ),
    ("method of gzip is unknown", "E1103", of_gzip(lambda raw: raw[:2] + b"\x07" + raw[3:])),
    ("bytes follow the stream", "E1105", of_gzip(lambda raw: raw + b"more")),
    ("zeros follow the stream", None, of_gzip(lambda raw: raw + bytes(512))),
    (
        "stream of two members",
        None,
        lambda case: case.write(
            gzip.compress(case.plain()[:5000]) + gzip.compress(case.plain()[5000:])
        ),
    ),
    ("bomb follows the voxels", "E1104", of_plain(lambda data: data + bytes(2**20))),
    ("second member is a bomb", "E1104", of_gzip(lambda raw: raw + BOMB)),
    ("gzip in gzip", "E1201", of_gzip(gzip.compress)),
    ("deflate without gzip", "E1201", lambda case: case.write(zlib.compress(case.plain()))),
    ("voxels are cut", "E1102", of_plain(lambda data: data[:-2])),
    ("voxels are cut in a plain file", "E1102", lambda case: case.write(case.plain()[:-2])),
    ("byte follows the voxels", "E1104", of_plain(lambda data: data + b"\0")),
    ("byte follows a plain file", "E1104", lambda case: case.write(case.plain() + b"\0")),
    ("header is cut", "E1101", of_plain(lambda data: data[:300])),
    ("only a header", "E1102", of_plain(lambda data: data[:352])),
]

HEADERS = [
    ("two axes", "E1204", header(40, "h", 2)),
    ("four axes", "E1204", header(40, "5h", 4, 60, 60, 6, 2)),
    ("no axes", "E1204", header(40, "h", 0)),
    ("nine axes", "E1204", header(40, "h", 9)),
    ("axis of no length", "E1205", header(42, "h", 0)),
    ("axis of negative length", "E1205", header(44, "h", -60)),
    ("axis too long", "E1205", header(46, "h", 5000)),
    ("fewer slices than voxels", "E1104", header(46, "h", 11)),
    ("more slices than voxels", "E1102", header(46, "h", 13)),
    ("complex voxels", "E1206", header(70, "h", 32)),
    ("colours", "E1206", header(70, "h", 128)),
    ("unknown datatype", "E1206", header(70, "h", 3)),
    ("bits do not fit the datatype", "E1207", header(72, "h", 8)),
    ("voxels begin in the header", "E1208", header(108, "f", 100.0)),
    ("voxels begin nowhere", "E1208", header(108, "f", NAN)),
    ("voxels begin far away", "E1208", header(108, "f", 1e9)),
    ("slope is infinite", "E1209", header(112, "f", INF)),
    ("slope is tiny", "E1209", header(112, "f", 1e-30)),
    ("intercept is no number", "E1209", header(116, "f", NAN)),
    ("slope is zero: stored values count", None, header(112, "f", 0.0)),
    ("unknown unit", "E1210", header(123, "B", 5)),
    ("metres", "E1210", header(123, "B", 1)),
    ("micrometres", "E1210", header(123, "B", 3)),
    ("voxel of no size", "E1211", header(80, "f", 0.0)),
    ("voxel of negative size", "E1211", header(84, "f", -4.0)),
    ("voxel size is no number", "E1211", header(88, "f", NAN)),
    ("unknown sform code", "E1212", header(254, "h", 9)),
    ("unknown qform code", "E1212", header(252, "h", -1)),
    ("other text in the header", None, header(148, "16s", b"Anna Example")),
]

ORIENTATIONS = [
    ("no transform", "E1220", header(254, "h", 0)),
    ("sform is zero", "E1222", srow((0,) * 4, (0,) * 4, (0,) * 4)),
    ("sform is not finite", "E1214", srow((NAN,) * 4, (0,) * 4, (0,) * 4)),
    ("sform is a million mm away", "E1214", header(292, "f", 3e6)),
    ("sform contradicts the voxel size", "E1222", srow((-2, 0, 0, 0), (0, -4, 0, 0), (0, 0, 5, 0))),
    (
        "axes are not at right angles",
        "E1223",
        srow((-3.7, -1.5, 0, 0), (1.5, -3.7, 1, 0), (0, 0, 4.9, 0)),
    ),
    (
        "axes lie between two directions",
        "E1224",
        srow((-2.8284, -2.8284, 0, 0), (2.8284, -2.8284, 0, 0), (0, 0, 5, 0)),
    ),
    ("qform contradicts the sform", "E1225", header(252, "h", 1)),
    ("two axes point the same way", "E1223", srow((-4, -4, 0, 0), (0, 0, 0, 0), (0, 0, 5, 0))),
    ("feet first", None, srow((-4, 0, 0, 0), (0, -4, 0, 0), (0, 0, -5, 55))),
    ("right and left swapped in storage", None, srow((4, 0, 0, 0), (0, -4, 0, 0), (0, 0, 5, 0))),
]

SCANS = [
    ("field of view of a finger", "E1401", spacing(0.5, 0.5, 5)),
    ("field of view of a belly", "E1401", spacing(8, 8, 5)),
    ("too short", "E1402", spacing(4, 4, 1)),
    ("too long", "E1402", spacing(4, 4, 50)),
    ("all zero", "E1404", voxels(np.zeros_like)),
    ("all air", "E1404", voxels(lambda hu: np.full_like(hu, -1000))),
    ("windowed", "E1405", voxels(lambda hu: hu.clip(-160, 240))),
    ("windowed to a byte", "E1405", voxels(lambda hu: hu.clip(0, 255).astype(np.uint8))),
    ("offset by 1024", "E1405", voxels(lambda hu: hu + 1024)),
    ("a tenth of the HU", "E1405", voxels(lambda hu: hu // 10)),
    ("negated", "E1405", voxels(lambda hu: -hu)),
    ("without bone", "E1406", voxels(lambda hu: np.where(hu > 100, 40, hu))),
    ("bone only", "E1406", voxels(lambda hu: np.where(hu > 300, hu, -1000))),
    ("without brain", "E1407", voxels(lambda hu: np.where(abs(hu) < 200, hu - 130, hu))),
    (
        "smaller than a head",
        "E1408",
        voxels(lambda hu: put(hu[:, ::3, ::3], np.s_[:, 20:40, 20:40])(np.full_like(hu, -1000))),
    ),
    (
        "noise",
        "E1407",
        voxels(lambda hu: np.random.default_rng(0).normal(-300, 300, hu.shape).astype(np.int16)),
    ),
    ("without a clot", None, voxels(same)),
]

BUNDLES = [
    ("bundle is missing", "E2003", lambda case: shutil.rmtree(case.bundle)),
    (
        "bundle is a file",
        "E2003",
        lambda case: setattr(case, "bundle_words", ["--bundle", str(case.bundle / "model.xml")]),
    ),
    ("bundle without check sums", "E2003", lambda case: (case.bundle / "SHA256SUMS").unlink()),
    ("check sums are empty", "E2102", in_bundle("SHA256SUMS", b"")),
    ("check sums are no text", "E2101", in_bundle("SHA256SUMS", bytes(range(256)))),
    ("check sums are endless", "E2101", in_bundle("SHA256SUMS", b"0" * 70000)),
    ("check sums lead out", "E2101", manifest(lambda text: text + "0" * 64 + "  ../x\n")),
    ("check sums name a file twice", "E2101", manifest(lambda text: text + text)),
    ("check sums name a device", "E2101", manifest(lambda text: text + "0" * 64 + "  nul.bin\n")),
    ("check sums name a port", "E2101", manifest(lambda text: text + "0" * 64 + "  COM1\n")),
    ("check sums end in a dot", "E2101", manifest(lambda text: text + "0" * 64 + "  model.\n")),
    ("check sums hold a colon", "E2101", manifest(lambda text: text + "0" * 64 + "  a:b\n")),
    (
        "check sums name a file twice but for case",
        "E2101",
        manifest(lambda text: text + "0" * 64 + "  Model.XML\n"),
    ),
    ("check sums in capitals", "E2101", manifest(lambda text: text.upper())),
    ("check sums end early", "E2101", manifest(lambda text: text[:-1])),
    ("check sums with CRLF", "E2101", manifest(lambda text: text.replace("\n", "\r\n"))),
    ("graph is changed", "E2106", in_bundle("model.xml", b"<net/>")),
    ("weights are changed", "E2106", in_bundle("model.bin", b"")),
    ("metadata is changed", "E2106", in_bundle("metadata.json", b"{}")),
    ("self-test is changed", "E2106", in_bundle("selftest.npz", b"x")),
    ("model card is changed", "E2106", in_bundle("README.md", b"x")),
    ("file of no use is changed", "E2106", in_bundle("calibration.json", b"x")),
    ("graph is missing", "E2103", lambda case: (case.bundle / "model.xml").unlink()),
    (
        "graph is not listed",
        "E2102",
        manifest(
            lambda text: "".join(line for line in text.splitlines(True) if "model.xml" not in line)
        ),
    ),
    ("weights are a link", "E2104", bundle_entry(lambda path: path.symlink_to("model.xml"))),
    ("weights are a pipe", "E2104", bundle_entry(os.mkfifo)),
    ("weights are a folder", "E2104", bundle_entry(lambda path: path.mkdir())),
    ("other file beside it", None, in_bundle("notes.txt", b"of the owner")),
    ("metadata is no JSON", "E2001", republished("metadata.json", lambda _: b"{")),
    (
        "metadata holds a key twice",
        "E2001",
        republished("metadata.json", lambda data: b'{"name": "x", ' + data.lstrip()[1:]),
    ),
    ("metadata holds NaN", "E2001", republished("metadata.json", lambda _: b'{"schema": NaN}')),
    ("metadata is deep", "E2001", republished("metadata.json", lambda _: b"[" * 100_000)),
    ("schema of another version", "E2202", metadata(schema="aminet.bundle/9")),
    ("schema is missing", "E2001", metadata(schema=...)),
    ("id is of another network", "E2107", metadata(id="0" * 64)),
    ("unknown channel", "E2001", metadata(input__channels=["mri"])),
    ("no channels", "E2001", metadata(input__channels=[])),
    ("unknown window", "E2001", metadata(input__window=2)),
    ("threshold of zero", "E2001", metadata(decision__thresholds=[0.0] * 15)),
    ("thresholds for 14 regions", "E2001", metadata(decision__thresholds=[0.5] * 14)),
    ("no slices in a row", "E2001", metadata(decision__min_consecutive_slices=0)),
    ("region names twice", "E2001", metadata(regions__names=["same"] * 15)),
    ("name leads out", "E2001", metadata(name="../x")),
    ("name is a device", "E2001", metadata(name="prn.int8")),
    ("name ends in a dot", "E2001", metadata(name="int8.")),
    (
        "channels do not fit the network",
        "E2020",
        metadata(input__channels=["cta1", "cta2"], input__window_hu=[[0, 1], [0, 1]]),
    ),
    ("unknown key", None, metadata(later={"anything": 1})),
    ("no ONNX for ONNX Runtime", "E2223|E2203", words("--engine", "onnxruntime")),
]

OUTPUTS = [
    (
        "output is the patient's folder",
        "E0211",
        lambda case: case.words.extend(["-o", str(case.folder)]),
    ),
    (
        "output is in the patient's folder",
        "E0211",
        lambda case: case.words.extend(["-o", str(case.folder / "results")]),
    ),
    (
        "output is the cohort",
        "E0211",
        lambda case: case.words.extend(["-o", str(case.folder.parent)]),
    ),
    (
        "output leads into the folder by a link",
        "E0211",
        lambda case: case.output.symlink_to(case.folder),
    ),
    ("output is a file", "E3003", output(lambda path: path.write_text("x"))),
    (
        "output is below a file",
        "E3003",
        both(
            output(lambda path: path.write_text("x")),
            lambda case: case.words.extend(["-o", str(case.output / "below")]),
        ),
    ),
    ("output is a link to nowhere", "E3003", output(lambda path: path.symlink_to("no/where"))),
    ("output is a device", "E3003", words("-o", "/dev/null")),
    ("output has a name too long", "E3004", words("-o", "x" * 300)),
    ("output has a null in its name", "E3004", words("-o", "a\0b")),
    ("output is a system folder", "E3001", words("-o", "/proc/results")),
    (
        "result is a folder",
        "E3003",
        output(lambda path: (path / "379" / "result.json").mkdir(parents=True)),
    ),
    (
        "report is a folder",
        "E3003",
        output(lambda path: (path / "379" / "report.html").mkdir(parents=True)),
    ),
    (
        "patient's place is a file",
        "E3003",
        output(lambda path: (path.mkdir(), (path / "379").write_text("x"))),
    ),
    (
        "result is there, and is to be kept",
        "E3101",
        both(
            output(lambda path: (path / "379").mkdir(parents=True)),
            output(lambda path: (path / "379" / "result.json").write_text("old")),
            words("--no-clobber"),
        ),
    ),
    (
        "result is a broken link, and is to be kept",
        "E3101",
        both(
            output(lambda path: (path / "379").mkdir(parents=True)),
            output(lambda path: (path / "379" / "result.json").symlink_to("gone")),
            words("--no-clobber"),
        ),
    ),
    (
        "result is there",
        None,
        both(
            output(lambda path: (path / "379").mkdir(parents=True)),
            output(lambda path: (path / "379" / "result.json").write_text("old")),
        ),
    ),
    (
        "output is in folders that are missing",
        None,
        lambda case: case.words.extend(["-o", str(case.output / "a" / "b")]),
    ),
]

CHANNELS = [
    ("second channel is missing", "E1012", "cta1", nothing),
    (
        "second channel has fewer slices",
        "E1311",
        "cta1",
        lambda case: case.store(case.head[1:], "CTA1.nii"),
    ),
    (
        "second channel has other voxels",
        "E1311",
        "cta1",
        lambda case: case.store(name="CTA1.nii", spacing_mm=(4.1, 4.0, 5.0)),
    ),
    (
        "second channel is damaged",
        "E1102",
        "cta1",
        lambda case: case.write(case.plain()[:-1], "CTA1.nii"),
    ),
    (
        "second channel is no head",
        "E1404",
        "cta1",
        lambda case: case.store(np.zeros_like(case.head), "CTA1.nii"),
    ),
    (
        "second channel upside down",
        None,
        "cta1",
        lambda case: case.store(name="CTA1.nii", upside_down=True),
    ),
    ("map without its slope", "E1420", "spiral", map_of(same, slope=1.0)),
    ("map with negative values", "E1420", "spiral", map_of(put(-500))),
    ("map beyond one", "E1420", "spiral", map_of(put(1500))),
    ("map of probabilities", None, "spiral", map_of(same)),
    ("atlas is missing", "E1012", "atlas", nothing),
    ("atlas with a 16th region", "E1326", "atlas", atlas_of(put(15))),
    ("atlas with a negative region", "E1326", "atlas", atlas_of(put(-1))),
    ("atlas between two regions", "E1326", "atlas", atlas_of(same, slope=0.5)),
    ("atlas of another grid", "E1311", "atlas", atlas_of(lambda labels: labels[1:])),
    ("atlas of 15 regions", None, "atlas", atlas_of(same)),
]

LIMITS = [
    ("no time left", "E4001", words("--time-limit", "0.001")),
    (
        "scan that hangs",
        "E4001",
        both(words("--time-limit", "0.3"), patched(session_module.Session, "run", hang)),
    ),
    ("memory limit too low", "E4002", words("--memory-limit", "1MiB")),
    ("memory runs out", "E4004", patched(session_module.Session, "run", out_of_memory)),
]

SURROUNDINGS = [
    ("proxy", None, variable("HTTPS_PROXY", "http://127.0.0.1:9")),
    ("no home", None, variable("HOME", "/nonexistent")),
    ("no place for temporary files", None, variable("TMPDIR", "/nonexistent")),
    ("unknown locale", None, variable("LC_ALL", "xx_XX")),
    ("unknown time zone", None, variable("TZ", "Nowhere/City")),
    ("threads by environment", None, variable("OMP_NUM_THREADS", "nonsense")),
    (
        "region names are damaged",
        None,
        lambda case: (case.folder.parent / "regions.json").write_text("{"),
    ),
]

FAULTS = [
    *COMMAND_LINE,
    *FOLDERS,
    *((name, None, spoil) for name, spoil in NAMES),
    *FILES,
    *STREAMS,
    *HEADERS,
    *ORIENTATIONS,
    *SCANS,
    *BUNDLES,
    *OUTPUTS,
    *LIMITS,
    *SURROUNDINGS,
]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and sockets of POSIX")


@pytest.fixture
def case(bundle_path, write_patient, tmp_path, make_head, make_nifti, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundle = tmp_path / "bundle"
    shutil.copytree(bundle_path, bundle)
    return Case(
        folder=write_patient(),
        bundle=bundle,
        output=tmp_path / "results",
        head=make_head(affected=(4, 7)),
        make_nifti=make_nifti,
        monkeypatch=monkeypatch,
    )


def require_ending(case, code, capsys):
    """Run the case and compare how it ends."""
    before = listing(case.folder) if case.folder.is_dir() else None
    exit_code = main(case.all_words)
    answer = capsys.readouterr()

    if code is None:
        assert (exit_code, answer.err) == (0, "")
        assert is_result(case.last_place / case.place / "result.json")
    else:
        lines = answer.err.splitlines()
        assert len(lines) == 1, answer.err
        found = lines[0].partition("[")[2].partition("]")[0]
        assert found in code.split("|"), lines[0]
        assert exit_code == int(found[1:3])
        fresh = [path for path in case.output.rglob("result.json") if is_result(path)]
        assert fresh == []
    assert not list(case.output.parent.rglob("*.partial"))
    assert before is None or listing(case.folder) == before, "the patient's folder is only read"


def is_result(path):
    return path.is_file() and path.read_bytes().startswith(b'{\n "schema"')


def listing(folder):
    return sorted((path.name, stat.S_IFMT(path.lstat().st_mode)) for path in folder.iterdir())


@pytest.mark.parametrize(
    ("code", "spoil"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_fault_has_its_code(case, code, spoil, capsys):
    spoil(case)

    require_ending(case, code, capsys)


@pytest.mark.parametrize(
    ("code", "channel", "spoil"), [row[1:] for row in CHANNELS], ids=[row[0] for row in CHANNELS]
)
def test_fault_of_a_second_channel_has_its_code(case, build_bundle, code, channel, spoil, capsys):
    bundle = build_bundle(channels=(Channel.CTA2, Channel(channel)))
    case.bundle_words = ["--bundle", str(bundle)]
    spoil(case)

    require_ending(case, code, capsys)


def test_catalogue_is_large_and_names_each_fault_once():
    names = [row[0] for row in (*FAULTS, *CHANNELS)]

    assert len(names) == len(set(names))
    assert len(names) >= 120
