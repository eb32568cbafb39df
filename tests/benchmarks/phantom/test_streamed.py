# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from aminet_benchmarks.phantom import source as phantom_source
from aminet_benchmarks.phantom.cohort import CohortPlan, write_cohort
from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.streamed import StreamedCohort, prepare_phantoms
from aminet_runtime.errors import OutputExists
from aminet_runtime.patient import Channel
from aminet_train.cohort.prepare import prepare_cohort
from aminet_train.cohort.prepare_patient import PreparePlan
from aminet_train.cohort.prepared import KeptSlices, PreparedCohort
from aminet_train.cohort.splits import Split, all_in, read_splits, write_splits
from aminet_train.preprocessing import PreprocessingConfig

CONFIG = preset_config("report", shape=(96, 96, 40))
NOBODY = lambda _done, _total: None  # noqa: E731 - nobody looks at the progress


@pytest.fixture
def cohort() -> StreamedCohort:
    return StreamedCohort(patients=2, seed=4, config=CONFIG, split=Split.TRAIN)


@pytest.mark.parametrize("channels", ["mcta", "cta+spiral"])
def test_streamed_equals_prepared_from_the_files(cohort, channels, tmp_path):
    preprocessing = PreprocessingConfig.from_preset(channels, size_px=(56, 56))
    prepare_phantoms(cohort, PreparePlan(tmp_path / "streamed", preprocessing), on_progress=NOBODY)
    write_cohort(CohortPlan(tmp_path / "cohort", patients=2, seed=4, config=CONFIG))
    plan = PreparePlan(tmp_path / "from-files", preprocessing)
    assert prepare_cohort(tmp_path / "cohort", plan, seed=0) == []
    names = PreparedCohort.open(plan.root).patient_ids()
    assert len(names) == 2
    files = sorted((plan.root / "patients").rglob("*.npy"))
    if Channel.SPIRAL not in preprocessing.channels:  # then the map is not rendered at all
        files = [path for path in files if path.name != "spiral.npy"]
    for path in files:
        twin = tmp_path / "streamed" / path.relative_to(plan.root)
        np.testing.assert_array_equal(np.load(twin), np.load(path), err_msg=str(path.name))


def test_keeps_only_a_share_of_the_slices_without_clot(cohort, tmp_path):
    plan = PreparePlan(
        tmp_path, PreprocessingConfig.from_preset("cta", size_px=(56, 56)), KeptSlices(3)
    )
    prepare_phantoms(cohort, plan, on_progress=NOBODY)
    prepared = PreparedCohort.open(tmp_path)
    for name in prepared.patient_ids():
        patient = prepared.patient(name)
        assert np.count_nonzero(~patient.kept_labels.any(axis=1)) == 3
        assert patient.kept_labels.any(axis=1).sum() == patient.truth.labels.any(axis=1).sum()


@pytest.mark.parametrize("split", [Split.VALIDATION, Split.TEST])
def test_keeps_all_slices_of_held_out_patients(cohort, tmp_path, split):
    few = PreparePlan(
        tmp_path, PreprocessingConfig.from_preset("cta", size_px=(56, 56)), KeptSlices(3)
    )
    prepare_phantoms(replace(cohort, split=split, patients=1), few, on_progress=NOBODY)
    assert len(PreparedCohort.open(tmp_path).patient("p0400000").kept) == 40


def test_all_patients_are_in_the_one_split(cohort, tmp_path):
    plan = PreparePlan(
        tmp_path, PreprocessingConfig.from_preset("cta", size_px=(56, 56)), KeptSlices(1)
    )
    prepare_phantoms(cohort, plan, on_progress=NOBODY)
    assert read_splits(tmp_path)[Split.TRAIN] == ("p0400000", "p0400001")


@pytest.fixture
def plan(tmp_path) -> PreparePlan:
    return PreparePlan(tmp_path, PreprocessingConfig.from_preset("cta", size_px=(56, 56)))


def test_goes_on_with_more_patients_and_leaves_the_old_ones_alone(cohort, plan):
    prepare_phantoms(replace(cohort, patients=1), plan, on_progress=NOBODY)
    written = (plan.folder_of("p0400000") / "images.npy").stat().st_mtime_ns
    told = []

    prepare_phantoms(cohort, plan, on_progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]
    assert (plan.folder_of("p0400000") / "images.npy").stat().st_mtime_ns == written
    assert read_splits(plan.root)[Split.TRAIN] == ("p0400000", "p0400001")


@pytest.mark.parametrize(
    "config",
    [preset_config("hard", shape=(96, 96, 40)), preset_config("report", shape=(96, 96, 41))],
    ids=["preset", "shape"],
)
def test_another_kind_of_phantoms_is_refused_and_not_mixed(cohort, plan, config):
    prepare_phantoms(replace(cohort, patients=1), plan, on_progress=NOBODY)

    with pytest.raises(OutputExists, match="p0400000: there is another patient of this name"):
        prepare_phantoms(replace(cohort, config=config), plan, on_progress=NOBODY)

    assert PreparedCohort.open(plan.root).patient_ids() == ["p0400000"]


def test_phantoms_of_another_generator_are_refused(cohort, plan, monkeypatch):
    prepare_phantoms(replace(cohort, patients=1), plan, on_progress=NOBODY)
    monkeypatch.setattr(phantom_source, "GENERATOR_VERSION", 0)

    with pytest.raises(OutputExists, match="there is another patient of this name"):
        prepare_phantoms(cohort, plan, on_progress=NOBODY)


@pytest.mark.parametrize(
    "other", [{"split": Split.TEST}, {"seed": 5}, {"patients": 1}], ids=["split", "seed", "fewer"]
)
def test_splits_of_other_patients_are_not_written_over(cohort, plan, other):
    write_splits(plan.root, all_in(Split.TRAIN, ["p0400000", "p0400001"]))

    with pytest.raises(OutputExists, match="holds other patients, or the same in another split"):
        prepare_phantoms(replace(cohort, **other), plan, on_progress=NOBODY)

    assert read_splits(plan.root)[Split.TRAIN] == ("p0400000", "p0400001")
