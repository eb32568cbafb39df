# SPDX-License-Identifier: Apache-2.0
"""metadata.json: what is read is what was written, and each wrong value is named by its key."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import aminet_runtime
from aminet_runtime.decision import DecisionRule
from aminet_runtime.errors import ModelIncompatible, ModelInvalid
from aminet_runtime.metadata import Metadata
from aminet_runtime.patient import Channel
from aminet_runtime.regions import Regions
from aminet_runtime.track_record import (
    DataSummary,
    EngineMetrics,
    LevelMetrics,
    Metrics,
    PatientSet,
    scan_fingerprint,
)

SCHEMA_FILE = Path(aminet_runtime.__file__).parent / "schemas" / "bundle-1.schema.json"
SCHEMA = Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13)


@pytest.fixture
def metadata(bundle_path) -> Metadata:
    """Metadata with everything in it that may be null."""
    read = Metadata.from_json((bundle_path / "metadata.json").read_bytes())
    level = LevelMetrics(8, 1, 2, 4, 8 / 9, 0.8, 0.84, 0.8, (0.7, 0.9))
    engine = EngineMetrics(slice_level=level, patient_level=level)
    patients = PatientSet(("0" * 64, "f" * 64))
    return replace(
        read,
        input=replace(read.input, window=3, window_spacing_mm=1.25),
        regions=Regions(read.regions.names, MIRROR),
        decision=DecisionRule((None, *[0.5] * 14), 3),
        metrics=Metrics(float32=engine, int8=None),
        data=DataSummary(patients, patients, patients, PatientSet(())),
    )


@pytest.fixture
def values(metadata) -> dict:
    return metadata.to_json()


def read(values) -> Metadata:
    return Metadata.from_json(json.dumps(values).encode(), path=Path("metadata.json"))


def changed(values, key, value):
    """Return a copy with one value replaced; `key` is a path such as `input.window`."""
    copied = copy.deepcopy(values)
    inner = copied
    *parents, last = key.split(".")
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return copied


def test_reads_back_what_it_wrote(metadata):
    assert Metadata.from_json(metadata.to_bytes()) == metadata


def test_reads_back_nulls(metadata):
    without = replace(metadata, metrics=None, regions=Regions(metadata.regions.names))

    assert Metadata.from_json(without.to_bytes()) == without


def test_what_it_writes_satisfies_the_schema(metadata, bundle_path):
    SCHEMA.validate(metadata.to_json())
    SCHEMA.validate(json.loads((bundle_path / "metadata.json").read_bytes()))


def test_planes_are_channels_times_window(metadata):
    two = replace(metadata.input, channels=(Channel.CTA1, Channel.CTA2), window=3)

    assert two.planes == 6


def test_ignores_keys_of_a_later_minor_version(values, metadata):
    assert read({**values, "added_later": {"anything": [1]}}) == metadata


def leaf_keys(values, prefix=""):
    """List each key with its parents, objects and their values."""
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, dict) and key != "versions":
            yield from leaf_keys(value, f"{prefix}{key}.")


def test_names_each_missing_key(values):
    keys = list(leaf_keys(values))
    assert len(keys) > 50

    for key in keys:
        without = changed(values, key, ...)
        with pytest.raises(ModelInvalid) as caught:
            read(without)
        assert f"{key} is missing" in caught.value.message
        assert not SCHEMA.is_valid(without), key


@pytest.mark.parametrize("wrong", [True, "text", 7, [], {}, None])
def test_refuses_each_value_of_a_wrong_type(values, wrong):
    """No key takes each type; that of the correct value, and null where it may be, is skipped."""
    may_be_null = {"metrics", "metrics.float", "metrics.int8", "regions.mirror"}
    may_be_null |= {"input.window_spacing_mm"}
    for key in leaf_keys(values):
        right = copy.deepcopy(values)
        for part in key.split("."):
            right = right[part]
        number_for_number = isinstance(right, int | float) and wrong == 7 and wrong is not True
        null_for_null = (wrong is None and key in may_be_null) or (right is None and wrong == {})
        free_text = isinstance(right, str) and wrong == "text"
        versions = key == "versions" and wrong == {}
        fewer_patients = key.endswith("fingerprints") and wrong == []
        if number_for_number or null_for_null or free_text or versions or fewer_patients:
            continue
        bad = changed(values, key, wrong)
        with pytest.raises((ModelInvalid, ModelIncompatible)) as caught:
            read(bad)
        assert caught.value.path == Path("metadata.json")
        assert not SCHEMA.is_valid(bad), (key, wrong)


BEYOND_THE_SCHEMA = {"regions.mirror", "data.training.count", "regions.names", "input.window_hu"}
BEYOND_THE_SCHEMA |= {"input.window_counts"}
"""JSON Schema cannot compare values with each other."""


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("id", "0" * 63, "id is no sha256"),
        ("id", "F" * 64, "id is no sha256"),
        ("name", "../escape", "name may hold"),
        ("name", ".hidden", "name may hold"),
        ("name", "line\nbreak", "name may hold"),
        ("name", "x" * 101, "name may hold"),
        ("name", "v1.", "not end in a dot"),
        ("name", "Nul.int8", "not be a device of Windows"),
        ("name", "lpt1", "not be a device of Windows"),
        ("approach", "oracle", "approach is none of spiral"),
        ("precision", "int4", "precision is none of fp32"),
        ("input.channels", [], "input.channels must hold"),
        ("input.channels", ["cta1", "cta1"], "input.channels must hold"),
        ("input.channels", ["mri"], "input.channels must hold"),
        ("input.window", 2, "input.window is none of 1, 3, 5"),
        ("input.window_spacing_mm", 0, "input.window_spacing_mm is not above 0"),
        ("input.window_spacing_mm", 1.7e308, "input.window_spacing_mm is above 500"),
        ("input.window_hu", [[0, 1], [0, 1]], "input.window_hu has 2 entries, 1 are needed"),
        ("input.window_hu", [[1, 1]], "lower bound that is not below"),
        ("input.window_hu", [[0, 1, 2]], "pairs of numbers"),
        ("input.orientation", "RAS", "input.orientation is not LPS"),
        ("input.training_spacing_mm", [1, 1, 0], "is not above 0"),
        ("input.training_shape", [512, 512], "has 2 entries, 3 are needed"),
        ("input.training_shape", [512, 512, 0], "holds a 0"),
        ("input.training_shape", [512, 512, 1.5], "whole numbers"),
        ("input.network_size_px", [224, -1], "whole numbers"),
        ("input.network_margin_px", [4], "has 1 entries, 2 are needed"),
        ("input.network_margin_px", [4, -4], "whole numbers"),
        ("input.window_counts", [1, 1], "has 2 entries, 1 are needed"),
        ("input.window_counts", [0], "holds a 0"),
        ("regions.names", ["one name"], "instead of 15"),
        ("regions.mirror", [1] * 15, "mirror sends region 0 to 1, but 1 to 1"),
        ("regions.mirror", [15] * 15, "mirror does not hold"),
        ("decision.thresholds", [0.5] * 14, "has 14 entries, 15 are needed"),
        ("decision.thresholds", [0.0] * 15, "not in (0, 1]"),
        ("decision.thresholds", ["0.5"] * 15, "a number is needed"),
        ("decision.min_consecutive_slices", 0, "below 1"),
        ("decision.min_consecutive_slices", True, "whole number"),
        ("metrics.float.slice.f1", 1.1, "metrics.float.slice.f1 is not within 0..1"),
        ("metrics.float.slice.tp", -1, "whole number"),
        ("metrics.float.patient.f1_ci95", [0.5, 1.5], "not an interval"),
        ("data.training.count", 3, "differs from the 2 fingerprints"),
        ("data.test.fingerprints", ["Anna"], "something else than sha256"),
        ("versions", {"numpy": ""}, "versions.numpy is a text, a non-empty text"),
        ("disclaimer", " ", "disclaimer is a text, a non-empty text"),
    ],
)
def test_refuses_values_that_cannot_be_meant(values, key, value, message):
    bad = changed(values, key, value)

    with pytest.raises(ModelInvalid) as caught:
        read(bad)

    assert message in str(caught.value)
    assert caught.value.exit_code == 20
    assert not SCHEMA.is_valid(bad) or key in BEYOND_THE_SCHEMA


@pytest.mark.parametrize("schema", ["aminet.bundle/2", "aminet.bundle/0", "other"])
def test_refuses_other_schema_as_incompatible(values, schema):
    with pytest.raises(ModelIncompatible, match=r"the schema is not aminet\.bundle/1") as caught:
        read({**values, "schema": schema})

    assert caught.value.exit_code == 22
    assert not SCHEMA.is_valid({**values, "schema": schema})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b'{"schema": "a", "schema": "b"}',
        b'{"schema": NaN}',
        b'{"schema": -Infinity}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_refuses_what_is_no_json_object(content):
    with pytest.raises(ModelInvalid):
        Metadata.from_json(content)


def test_refuses_numbers_that_overflow(values):
    text = json.dumps(changed(values, "input.window_spacing_mm", 123)).replace("123", "1e999")

    with pytest.raises(ModelInvalid, match="too large"):
        Metadata.from_json(text.encode())

    huge = text.replace("1e999", "9" * 400)
    with pytest.raises(ModelInvalid, match="too large"):
        Metadata.from_json(huge.encode())


def test_finds_the_split_that_shaped_the_bundle():
    known, test = scan_fingerprint(["a" * 64]), scan_fingerprint(["b" * 64])
    nobody = PatientSet(())
    summary = DataSummary(nobody, PatientSet((known,)), PatientSet((test,)), nobody)

    assert summary.split_that_shaped(known) == "validation"
    assert summary.split_that_shaped(test) is None, "test patients measured, but shaped nothing"


def test_fingerprint_depends_on_the_order_of_channels():
    assert scan_fingerprint(["a", "b"]) != scan_fingerprint(["b", "a"])
