# SPDX-License-Identifier: Apache-2.0
"""A cohort in which nearly everybody is faulty: each is named with file and reason."""

import gzip
import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aminet_runtime.patient import Channel
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.commands.prepare import main

CTA = "CTA2regA.nii.gz"
ATLAS = "ATLASMASKregA.nii.gz"
CLOT = "patient_clot.nii.gz"
SPIRAL = "SpiralregA.nii.gz"
DIMENSIONS, DATATYPE, SPACING, SLOPE, SFORM_CODE, SFORM = 40, 70, 80, 112, 254, 280
LABELS_OF_ALL = [(5, 3)]  # slice 5 holds clot in region 3


@dataclass(frozen=True)
class Fault:
    """One way to be faulty.

    Attributes:
        name: Of the patient.
        make: Damages a good patient folder.
        code: Of the error that is expected.
        file: That is named.
        words: Part of the reason.
    """

    name: str
    make: Callable[[Path], None]
    code: str
    file: str
    words: str


def edit(file: str, change: Callable[[bytearray], object]) -> Callable[[Path], None]:
    """Change the unpacked bytes of a file."""

    def make(folder: Path) -> None:
        content = bytearray(gzip.decompress((folder / file).read_bytes()))
        result = change(content)
        content = result if isinstance(result, bytes | bytearray) else content
        (folder / file).write_bytes(gzip.compress(bytes(content), compresslevel=1))

    return make


def packed(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the packed bytes of a file."""

    def make(folder: Path) -> None:
        (folder / file).write_bytes(change((folder / file).read_bytes()))

    return make


def pack(file: str, form: str, offset: int, *values: float) -> Callable[[Path], None]:
    return edit(file, lambda content: struct.pack_into(form, content, offset, *values))


def voxel(file: str, value: int) -> Callable[[Path], None]:
    """Set one voxel of a file of bytes, in slice 7."""

    def change(content: bytearray) -> None:
        content[352 + 7 * 60 * 60 + 1000] = value

    return edit(file, change)


def hu(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Change all voxels of the CTA."""

    def rewrite(content: bytearray) -> bytes:
        voxels = np.frombuffer(bytes(content[352:]), "<i2").astype(np.float64)
        return bytes(content[:352]) + np.clip(change(voxels), -32768, 32767).astype("<i2").tobytes()

    return edit(CTA, rewrite)


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def replace_by(file: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Put something else under the name of a file."""

    def change(folder: Path) -> None:
        (folder / file).unlink()
        make(folder / file)

    return change


def shift(file: str) -> Callable[[Path], None]:
    """Move a volume by 20 mm."""
    return pack(file, "<f", SFORM + 12, 20.0)


def twice(folder: Path) -> None:
    (folder / "CTA2regA.nii").write_bytes(gzip.decompress((folder / CTA).read_bytes()))


def flip_bit(content: bytes) -> bytes:
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]  # in the check sum


FAULTS = [
    Fault("atlas-missing", remove(ATLAS), "E1012", "atlas-missing", "ATLASMASKregA.nii.gz or"),
    Fault("clot-missing", remove(CLOT), "E1012", "clot-missing", "<id>_clot.nii.gz or"),
    Fault("cta-missing", remove(CTA), "E1012", "cta-missing", "CTA2regA.nii.gz or"),
    Fault("no-files", lambda f: [p.unlink() for p in f.iterdir()], "E1011", "no-files", "none of"),
    Fault("cta-twice", twice, "E1310", "cta-twice", "are both in the folder"),
    Fault("cta-folder", replace_by(CTA, Path.mkdir), "E10", CTA, "Is a directory"),
    Fault("cta-fifo", replace_by(CTA, os.mkfifo), "E10", CTA, "regular file"),
    Fault("cta-dangling", replace_by(CTA, lambda p: p.symlink_to("x")), "E10", CTA, "no such file"),
    Fault("cta-empty", packed(CTA, lambda _: b""), "E11", CTA, ""),
    Fault("cta-truncated", packed(CTA, lambda c: c[: len(c) // 2]), "E11", CTA, "ends"),
    Fault("clot-truncated", packed(CLOT, lambda c: c[: len(c) // 2]), "E11", CLOT, "ends"),
    Fault("cta-wrong-crc", packed(CTA, flip_bit), "E11", CTA, ""),
    Fault("cta-trailing", edit(CTA, lambda c: c + b"more"), "E11", CTA, ""),
    Fault("cta-text", packed(CTA, lambda _: b"not an image" * 99), "E1", CTA, ""),
    Fault("cta-wrong-dims", pack(CTA, "<h", DIMENSIONS + 6, 200), "E1311", ATLAS, "60 x 60 x 200"),
    Fault("cta-negative-dims", pack(CTA, "<h", DIMENSIONS + 2, -60), "E12", CTA, ""),
    Fault("cta-flat", pack(CTA, "<h", DIMENSIONS, 2), "E12", CTA, "no single volume"),
    Fault("cta-rgb", pack(CTA, "<2h", DATATYPE, 128, 24), "E12", CTA, "datatype"),
    Fault("cta-infinite-slope", pack(CTA, "<f", SLOPE, float("inf")), "E12", CTA, "scaling"),
    Fault(
        "cta-no-orientation",
        pack(CTA, "<2h", SFORM_CODE - 2, 0, 0),
        "E12",
        CTA,
        "how the patient lies",
    ),
    Fault("cta-no-spacing", pack(CTA, "<3f", SPACING, 0.0, 0.0, 0.0), "E1", CTA, ""),
    Fault("atlas-elsewhere", shift(ATLAS), "E1311", ATLAS, "20.00 mm apart"),
    Fault("clot-elsewhere", shift(CLOT), "E1311", CLOT, "20.00 mm apart"),
    Fault("spiral-elsewhere", shift(SPIRAL), "E1311", SPIRAL, "20.00 mm apart"),
    Fault("cta-windowed", hu(lambda v: np.clip(v, 0, 100)), "E14", CTA, ""),
    Fault("cta-constant", hu(np.zeros_like), "E14", CTA, ""),
    Fault("cta-unsigned", hu(lambda v: v + 1024), "E14", CTA, ""),
    Fault("clot-3", voxel(CLOT, 3), "E1326", CLOT, "values from 0 to 3"),
    Fault("atlas-99", voxel(ATLAS, 99), "E1326", ATLAS, "to 99"),
    Fault("spiral-not-a-map", pack(SPIRAL, "<f", SLOPE, 1.0), "E1420", SPIRAL, "SPIRAL map holds"),
    Fault(
        "phantom-broken", lambda f: (f / "phantom.json").write_text("{"), "E11", "phantom.json", ""
    ),
]


def absurd_spacing(folder: Path) -> None:
    """Voxels of 40 mm, in all files alike."""
    for file in (CTA, ATLAS, CLOT, SPIRAL):
        pack(file, "<3f", SPACING, 40.0, 40.0, 5.0)(folder)
        pack(file, "<12f", SFORM, -40, 0, 0, 0, 0, -40, 0, 0, 0, 0, 5, 0)(folder)


FAULTS.append(Fault("absurd-spacing", absurd_spacing, "E14", "", "field of view is 2400 x 2400"))


@pytest.fixture(scope="module")
def good_patient(tmp_path_factory, make_head, make_nifti) -> Path:
    folder = tmp_path_factory.mktemp("good") / "patient"
    folder.mkdir()
    head = make_head()
    atlas, clot, spiral = (np.zeros(head.shape, np.uint8) for _ in range(3))
    atlas[:, :, 30:] = 3
    clot[5, 30, 40] = 2
    spiral[5, 28:32, 38:42] = 200
    volumes = {CTA: (head, 1.0), ATLAS: (atlas, 1.0), CLOT: (clot, 1.0), SPIRAL: (spiral, 0.004)}
    for name, (values, slope) in volumes.items():
        stored = make_nifti(values, slope=slope)
        (folder / name).write_bytes(gzip.compress(stored, compresslevel=1))
    return folder


@pytest.fixture(scope="module")
def outcome(good_patient, tmp_path_factory):
    """Prepare a cohort of all faults and three good patients; return what was written."""
    root = tmp_path_factory.mktemp("faulty")
    for name in ("good-1", "good-2", *(fault.name for fault in FAULTS)):
        shutil.copytree(good_patient, root / "cohort" / name)
    for fault in FAULTS:
        fault.make(root / "cohort" / fault.name)
    (root / "cohort" / "notes.txt").write_text("not a patient")
    arguments = [str(root / "cohort"), "-o", str(root / "prepared"), "--size", "56", "--jobs", "1"]
    code = main(arguments)
    return code, root / "prepared", json.loads((root / "prepared" / "report.json").read_text())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_names_the_faulty_patient_with_file_and_reason(outcome, fault):
    _code, _prepared, report = outcome
    (refusal,) = [row for row in report["refused"] if row["patient_id"] == fault.name]
    assert refusal["code"].startswith(fault.code), refusal
    assert refusal["file"] == fault.file or not fault.file, refusal
    assert fault.words in refusal["message"], refusal


def test_there_are_at_least_twenty_kinds():
    assert len({fault.name for fault in FAULTS}) >= 30


def test_the_good_ones_are_prepared_and_nobody_else(outcome):
    code, prepared, report = outcome
    assert code == 13
    assert PreparedCohort.open(prepared).patient_ids() == ["good-1", "good-2"]
    assert report["patients"]["refused"] == len(FAULTS)
    labels = PreparedCohort.open(prepared).patient("good-1").truth.labels
    assert list(zip(*np.nonzero(labels), strict=True)) == LABELS_OF_ALL


def test_the_copy_is_reported(outcome):
    assert outcome[2]["duplicates"] == [["good-1", "good-2"]]


def test_the_page_lists_every_refusal(outcome):
    page = (outcome[1] / "report.html").read_text()
    assert all(fault.name in page for fault in FAULTS)


@pytest.mark.parametrize(
    ("make", "code", "file"),
    [(shift(f"{Channel.CTA1.file_stem}.nii.gz"), "E1311", CTA), (remove(CTA), "E1012", "p")],
)
def test_mismatched_phases_are_refused_where_both_are_channels(
    good_patient, tmp_path, make, code, file, capsys
):
    folder = tmp_path / "cohort" / "p"
    shutil.copytree(good_patient, folder)
    for phase in ("CTA1", "CTA3regA"):
        shutil.copy(folder / CTA, folder / f"{phase}.nii.gz")
    make(folder)
    arguments = [str(tmp_path / "cohort"), "-o", str(tmp_path / "prepared"), "--channels", "mcta"]
    assert main([*arguments, "--jobs", "1"]) == 13
    assert f"refused p: error[{code}]: {file}: " in capsys.readouterr().err
