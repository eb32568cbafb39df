# SPDX-License-Identifier: Apache-2.0
"""Names of the regions, and which of them hold a clot."""

import json
import os

import numpy as np
import pytest

from aminet_runtime.errors import InputInconsistent, InputMissing, InputUnsupported
from aminet_runtime.regions import (
    MAX_REGIONS_FILE_BYTES,
    REGION_COUNT,
    Regions,
    find_regions_json,
    load_regions,
    slice_labels,
)

NAMES = [f"territory {region}" for region in range(REGION_COUNT)]
MIRROR = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13]


@pytest.fixture
def write_json(tmp_path):
    def write(content):
        path = tmp_path / "regions.json"
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_regions_are_numbered_where_nobody_names_them():
    regions = Regions.numbered()
    assert regions.names[0] == "region 0"
    assert regions.names[14] == "region 14"
    assert len(regions.names) == REGION_COUNT == 15
    assert regions.mirror is None


def test_reads_names_and_mirror(write_json):
    regions = load_regions(write_json({"names": NAMES, "mirror": MIRROR}))
    assert regions == Regions(names=tuple(NAMES), mirror=tuple(MIRROR))


def test_the_mirror_is_optional(write_json):
    assert load_regions(str(write_json({"names": NAMES}))).mirror is None


def test_names_may_be_of_any_language_and_behind_a_byte_order_mark(write_json):
    names = ["A. cerebri média, région 左", *NAMES[1:]]
    path = write_json("\ufeff" + json.dumps({"names": names}, ensure_ascii=False))
    assert load_regions(path).names[0] == names[0]


INCONSISTENT = [
    ("E1320", "14 region names instead of 15", {"names": NAMES[:14]}),
    ("E1320", "16 region names", {"names": [*NAMES, "one more"]}),
    ("E1321", "name of region 0 is empty", {"names": ["", *NAMES[1:]]}),
    ("E1321", "name of region 14 is empty", {"names": [*NAMES[:14], "  "]}),
    ("E1321", "name of region 1 .* not printable", {"names": ["a", "b\nc", *NAMES[2:]]}),
    ("E1321", "name of region 1 .* longer than 100", {"names": ["a", "b" * 101, *NAMES[2:]]}),
    ("E1322", "two regions have the same name", {"names": [*NAMES[:14], "Territory 0 "]}),
    ("E1323", "does not hold 15 regions", {"names": NAMES, "mirror": MIRROR[:14]}),
    ("E1323", r"regions of 0\.\.14", {"names": NAMES, "mirror": [15, *MIRROR[1:]]}),
    ("E1323", r"regions of 0\.\.14", {"names": NAMES, "mirror": [-1, *MIRROR[1:]]}),
    ("E1324", "sends region 0 to 1, but 1 to 2", {"names": NAMES, "mirror": [1, *MIRROR[1:]]}),
]


@pytest.mark.parametrize(("code", "message", "content"), INCONSISTENT)
def test_refuses_names_that_cannot_be_right(code, message, content, write_json):
    path = write_json(content)
    with pytest.raises(InputInconsistent, match=message) as refusal:
        load_regions(path)
    assert refusal.value.code == code
    assert refusal.value.path == path
    assert refusal.value.hint


UNSUPPORTED = [
    ("E1241", "not valid JSON", ""),
    ("E1241", "not valid JSON", "{"),
    ("E1241", "not valid JSON", "[" * 50_000),
    ("E1241", "a key is there twice", '{"names": [], "names": []}'),
    ("E1242", "no object with the keys names and mirror only", "[]"),
    ("E1242", "no object", "null"),
    ("E1242", "no object", {"names": NAMES, "mirrors": MIRROR}),
    ("E1243", "names is no list of texts", {}),
    ("E1243", "names is no list of texts", {"names": "abcdefghijklmno"}),
    ("E1243", "names is no list of texts", {"names": [1, *NAMES[1:]]}),
    ("E1244", "mirror is no list of whole numbers", {"names": NAMES, "mirror": None}),
    ("E1244", "mirror is no list of whole", {"names": NAMES, "mirror": [0.0, *MIRROR[1:]]}),
    ("E1244", "mirror is no list of whole", {"names": NAMES, "mirror": [False, *MIRROR[1:]]}),
    ("E1240", "more than 65536 bytes", " " * (MAX_REGIONS_FILE_BYTES + 1)),
]


@pytest.mark.parametrize(("code", "message", "content"), UNSUPPORTED)
def test_refuses_another_form(code, message, content, write_json):
    path = write_json(content)
    with pytest.raises(InputUnsupported, match=message) as refusal:
        load_regions(path)
    assert refusal.value.code == code
    assert refusal.value.path == path
    assert refusal.value.hint


def test_refuses_what_is_no_unicode(tmp_path):
    path = tmp_path / "regions.json"
    path.write_bytes(b'{"names": ["\xff"]}')
    with pytest.raises(InputUnsupported, match="not valid JSON"):
        load_regions(path)


def test_refuses_what_is_no_file(tmp_path):
    with pytest.raises(InputMissing, match="no such file") as refusal:
        load_regions(tmp_path / "regions.json")
    assert refusal.value.code == "E1020"
    with pytest.raises(InputMissing, match="not a regular file") as refusal:
        load_regions(tmp_path)
    assert refusal.value.code == "E1022"


def test_a_file_that_cannot_be_read_is_missing(write_json, monkeypatch):
    path = write_json({"names": NAMES})

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", fail)
    with pytest.raises(InputMissing, match=r"cannot be read .Permission denied.") as refusal:
        load_regions(path)
    assert refusal.value.code == "E1021"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only")
def test_does_not_wait_for_a_fifo(tmp_path):
    os.mkfifo(tmp_path / "regions.json")
    with pytest.raises(InputMissing):
        load_regions(tmp_path / "regions.json")


def test_finds_the_names_beside_the_patients_first(tmp_path):
    patient = tmp_path / "379"
    patient.mkdir()
    assert find_regions_json(patient) is None
    (patient / "regions.json").touch()
    assert find_regions_json(patient) == patient / "regions.json"
    (tmp_path / "regions.json").touch()
    assert find_regions_json(str(patient)) == tmp_path / "regions.json"


def test_finds_the_names_from_within_the_folder(tmp_path, monkeypatch):
    (tmp_path / "regions.json").touch()
    (tmp_path / "379").mkdir()
    monkeypatch.chdir(tmp_path / "379")
    found = find_regions_json(".")
    assert found is not None
    assert found.samefile(tmp_path / "regions.json")


def test_a_dangling_link_is_not_passed_by(tmp_path):
    (tmp_path / "regions.json").symlink_to(tmp_path / "gone")
    found = find_regions_json(tmp_path / "379")
    assert found == tmp_path / "regions.json"
    with pytest.raises(InputMissing):
        load_regions(found)


# --- labels of a slice ---


@pytest.fixture
def atlas():
    """Region 0 to 14 by column, [H, W] = [4, 15]."""
    return np.broadcast_to(np.arange(15, dtype=np.int16), (4, 15))


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "f4", ">f8", "i8"])
def test_marks_regions_with_clot(dtype, atlas):
    clot = np.zeros((4, 15), dtype)
    clot[1, 0], clot[2, 3], clot[3, 14], clot[0, 14] = 1, 2, 1, 2
    labels = slice_labels(clot, atlas.astype(dtype))
    assert labels.dtype == np.bool_
    assert labels.shape == (15,)
    assert labels.nonzero()[0].tolist() == [0, 3, 14]


def test_no_clot_marks_nothing(atlas):
    assert not slice_labels(np.zeros((4, 15), np.uint8), atlas).any()


@pytest.mark.parametrize("value", [3, -1, 0.5, 255, np.nan, np.inf])
def test_refuses_other_clot_values(value, atlas):
    clot = np.zeros((4, 15))
    clot[2, 2] = value
    message = r"the clot mask has values from .* the whole numbers 0\.\.2"
    with pytest.raises(InputInconsistent, match=message) as refusal:
        slice_labels(clot, atlas)
    assert refusal.value.code == "E1326"


@pytest.mark.parametrize("value", [15, -1, 3.5, np.nan])
def test_refuses_other_atlas_values_even_without_clot(value, atlas):
    wrong = atlas.astype(np.float32)
    wrong[0, 0] = value
    message = r"the atlas has values from .* the whole numbers 0\.\.14 have a meaning; check"
    with pytest.raises(InputInconsistent, match=message) as refusal:
        slice_labels(np.zeros((4, 15)), wrong)
    assert refusal.value.code == "E1326"


def test_refuses_slices_of_different_size(atlas):
    with pytest.raises(InputInconsistent, match=r"\(4, 14\) voxels a slice") as refusal:
        slice_labels(np.zeros((4, 14)), atlas)
    assert refusal.value.code == "E1325"
