# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace

import pytest

from aminet_benchmarks.phantom.cohort import CohortPlan, write_cohort
from aminet_benchmarks.phantom.config import preset_config
from aminet_runtime.errors import OutputExists, OutputNotWritable, UsageError
from aminet_runtime.regions import load_regions

TINY = preset_config("report", shape=(48, 48, 16))


@pytest.fixture
def plan(tmp_path):
    return CohortPlan(folder=tmp_path / "cohort", patients=2, seed=7, config=TINY)


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_names_patients_by_their_seed(plan):
    folders = write_cohort(plan)

    assert [folder.name for folder in folders] == ["p0700000", "p0700001"]
    assert json.loads((folders[1] / "phantom.json").read_text())["seed"] == 700001


def test_regions_lie_beside_the_patients(plan):
    write_cohort(plan)

    regions = load_regions(plan.folder / "regions.json")

    assert regions.names[3] == "right MCA stem and deep"
    assert regions.mirror is not None
    assert regions.mirror[3] == 4


def test_refuses_a_file_that_is_named_like_a_patient(plan):
    plan.folder.mkdir()
    (plan.folder / "p0700001").write_text("not a folder")

    with pytest.raises(OutputExists, match="p0700001: there is another patient of this name"):
        write_cohort(plan)


def test_goes_on_where_it_stopped(plan, monkeypatch):
    write_cohort(replace(plan, patients=1))
    made = []
    original = __import__("aminet_benchmarks.phantom.cohort", fromlist=["x"])._write_one
    monkeypatch.setattr(
        "aminet_benchmarks.phantom.cohort._write_one",
        lambda seed, given: (made.append(seed), original(seed, given)),
    )

    write_cohort(plan)

    assert made == [700001]


def test_reports_progress_from_what_is_there(plan):
    write_cohort(replace(plan, patients=1))
    seen = []

    write_cohort(plan, on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(1, 2), (2, 2)]


def test_writes_only_the_patients_that_are_named(plan):
    named = replace(plan, only=frozenset({"p0700001", "p9900000"}))
    seen = []

    folders = write_cohort(named, on_progress=lambda done, total: seen.append((done, total)))

    assert [folder.name for folder in folders] == ["p0700001"]
    assert seen == [(0, 1), (1, 1)]


def test_refuses_names_of_other_patients_alone(plan):
    with pytest.raises(UsageError, match="none of these patients"):
        replace(plan, only=frozenset({"p9900000"}))


@pytest.mark.parametrize(
    "change", [{"twin": "none"}, {"config": preset_config("hard", shape=(48, 48, 16))}]
)
def test_refuses_to_mix_cohorts(plan, change):
    write_cohort(plan)

    with pytest.raises(OutputExists, match="there is another patient of this name"):
        write_cohort(replace(plan, **change))


def test_refuses_a_patient_folder_that_it_did_not_write(plan):
    (plan.folder / "p0700000").mkdir(parents=True)
    (plan.folder / "p0700000" / "CTA1.nii.gz").write_bytes(b"half a file")

    with pytest.raises(OutputExists):
        write_cohort(plan)


def test_many_processes_write_the_same_bytes(plan, tmp_path):
    write_cohort(plan)
    other = replace(plan, folder=tmp_path / "parallel", jobs=2)

    write_cohort(other)

    assert files_of(other.folder) == files_of(plan.folder)


def test_twins_share_their_names(plan, tmp_path):
    own = write_cohort(plan)
    twins = write_cohort(replace(plan, folder=tmp_path / "twins", twin="none"))

    assert [f.name for f in twins] == [f.name for f in own]
    truth = json.loads((twins[0] / "phantom.json").read_text())
    assert (truth["twin"], truth["regions"], truth["clots"]) == ("none", [], [])


def test_says_where_nothing_can_be_written(plan, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputNotWritable):
        write_cohort(replace(plan, folder=tmp_path / "file" / "cohort"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patients": 0}, "--patients 0"),
        ({"patients": 100_001}, "--patients 100001"),
        ({"seed": -1}, "--seed -1"),
        ({"jobs": 0}, "--jobs 0"),
    ],
)
def test_refuses_numbers_that_make_no_cohort(plan, change, message):
    with pytest.raises(UsageError, match=message):
        replace(plan, **change)
