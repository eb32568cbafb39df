# SPDX-License-Identifier: Apache-2.0
"""Whatever the bytes, a reader answers or raises an error of ours; `make fuzz` runs these for long.

`tests/fuzz.py` gives each test to atheris, which looks for bytes that reach new code. So the tests
take no fixtures, and all that they need is made when this module is loaded.
"""

import contextlib
import gzip
import json
import struct
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aminet_runtime.bundle_files import read_manifest
from aminet_runtime.ensemble_bundle import EnsembleMetadata
from aminet_runtime.errors import AminetError
from aminet_runtime.metadata import Metadata
from aminet_runtime.regions import load_regions
from aminet_runtime.volume import Volume

SHAPE = (4, 6, 8)  # (Z, H, W)
HEADER_BYTES = 352
PLACE = Path("metadata.json")


def scan_bytes():
    """Make a little NIfTI-1 file whose voxels are all different."""
    depth, height, width = SHAPE
    header = bytearray(HEADER_BYTES)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, width, height, depth, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1.0, 4.0, 4.0, 5.0, 0.0, 0.0, 0.0, 0.0)
    struct.pack_into("<3f", header, 108, float(HEADER_BYTES), 1.0, 0.0)
    struct.pack_into("<B", header, 123, 2)
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, -4, 0, 0, 0, 0, -4, 0, 0, 0, 0, 5, 0)
    header[344:348] = b"n+1\0"
    return bytes(header) + np.arange(depth * height * width, dtype="<i2").tobytes()


def metadata_values():
    """Make the metadata of a bundle with everything in it."""
    nobody = {"count": 0, "fingerprints": []}
    level = {"tp": 1, "fp": 1, "fn": 1, "tn": 1, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    level |= {"accuracy": 0.5, "f1_ci95": [0.2, 0.8]}
    return {
        "schema": "aminet.bundle/1",
        "id": "0" * 64,
        "name": "net-int8",
        "approach": "mobilenetv2",
        "precision": "int8",
        "input": {
            "channels": ["cta1"],
            "window": 3,
            "window_spacing_mm": 1.5,
            "window_hu": [[0, 400]],
            "orientation": "LPS",
            "training_spacing_mm": [0.5, 0.5, 0.6],
            "training_shape": [512, 512, 257],
            "network_size_px": [224, 224],
        },
        "regions": {"names": [f"region {n}" for n in range(15)], "mirror": list(range(15))},
        "decision": {"thresholds": [None, *[0.5] * 14], "min_consecutive_slices": 2},
        "metrics": {"float": {"slice": level, "patient": level}, "int8": None},
        "data": dict.fromkeys(("training", "validation", "test", "calibration"), nobody),
        "versions": {"aminet": "0.1.0"},
        "intended_use": "Tests.",
        "disclaimer": "Not a medical device.",
    }


def ensemble_values():
    members = [{"folder": name, "sha256sums": "0" * 64} for name in "abc"]
    kept = {key: metadata_values()[key] for key in ("name", "versions", "disclaimer")}
    more = {"approach": "ensemble", "vote": "majority", "intended_use": "Tests."}
    return {"schema": "aminet.ensemble-bundle/1", "members": members, **kept, **more}


SCAN = scan_bytes()
GZIPPED = gzip.compress(SCAN, mtime=0)
METADATA = json.dumps(metadata_values()).encode()
ENSEMBLE = json.dumps(ensemble_values()).encode()
MANIFEST = f"{'0' * 64}  model.xml\n{'f' * 64}  model.bin\n".encode()
REGIONS = json.dumps({"names": [f"region {n}" for n in range(15)]}).encode()


@st.composite
def changed(draw, original):
    """Take bytes with some replaced, cut off, put in, or all of them at random."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=2 * len(original)))
    data = bytearray(original)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        removed = draw(st.integers(0, 4))
        data[place : place + removed] = draw(st.binary(max_size=8))
    return bytes(data)


@st.composite
def changed_in_place(draw, original, stop):
    """Take bytes with some of the first `stop` replaced, so that the length stays."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        new = draw(st.binary(min_size=1, max_size=8))
        place = draw(st.integers(0, stop - len(new)))
        data[place : place + len(new)] = new
    return bytes(data)


@contextlib.contextmanager
def as_file(data, name="scan"):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def read(data):
    """Read all voxels as stored; None if the file was refused."""
    with as_file(data) as path, contextlib.suppress(AminetError), Volume.open(path) as volume:
        return [one.stored.copy() for one in volume.slices()]
    return None


@given(changed(SCAN))
def test_no_bytes_of_a_plain_scan_crash_the_reader(data):
    read(data)


@given(changed_in_place(SCAN, HEADER_BYTES))
def test_changed_header_is_refused_or_fits_the_voxels(data):
    slices = read(data)

    if slices is not None:
        assert sum(one.nbytes for one in slices) <= len(SCAN) - HEADER_BYTES


@given(changed(GZIPPED))
def test_changed_gzip_stream_is_refused_or_holds_the_same_voxels(data):
    slices = read(data)

    if slices is not None and data[:2] == b"\x1f\x8b":
        np.testing.assert_array_equal(slices, read(SCAN))


@given(changed(METADATA))
def test_no_metadata_crashes_the_reader(data):
    with contextlib.suppress(AminetError):
        metadata = Metadata.from_json(data, path=PLACE)
        assert Metadata.from_json(metadata.to_bytes(), path=PLACE) == metadata


@given(changed(ENSEMBLE))
def test_no_metadata_of_an_ensemble_crashes_the_reader(data):
    with contextlib.suppress(AminetError):
        metadata = EnsembleMetadata.from_json(data, path=PLACE)
        assert EnsembleMetadata.from_json(metadata.to_bytes(), path=PLACE) == metadata


@given(changed(MANIFEST))
def test_no_manifest_crashes_the_reader_or_leads_out(data):
    with as_file(data, "SHA256SUMS") as path, contextlib.suppress(AminetError):
        for name in read_manifest(path.parent):
            assert Path(name).name == name


@given(changed(REGIONS))
def test_no_region_names_crash_the_reader(data):
    with as_file(data, "regions.json") as path, contextlib.suppress(AminetError):
        assert len(load_regions(path).names) == 15
