# SPDX-License-Identifier: Apache-2.0
import json
import shutil

import pytest

from aminet_benchmarks.phantom import cli
from aminet_benchmarks.phantom.cohort import CohortPlan, write_cohort
from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.files import TRUTH_FILE
from aminet_benchmarks.phantom.patient import make_patient
from aminet_benchmarks.phantom.real.heads import AnatomyRequest
from aminet_benchmarks.phantom.source import PhantomSource
from aminet_runtime.errors import InputMissing, OutputExists
from aminet_runtime.patient import Channel

CONFIG = preset_config("report", shape=(48, 48, 16))
TINY = ["--shape", "48", "48", "16", "--jobs", "1"]


@pytest.fixture
def written(tmp_path, anatomy_folder):
    request = AnatomyRequest(anatomy_folder, "train")
    plan = CohortPlan(tmp_path / "cohort", patients=1, seed=2, config=CONFIG, anatomy=request)
    return plan, write_cohort(plan)[0]


def test_truth_file_tells_the_tree(written):
    truth = json.loads((written[1] / TRUTH_FILE).read_text())

    assert truth["anatomy"]["kind"] == "real"
    assert truth["anatomy"]["tree"] in {"tree_00", "tree_01", "tree_02"}
    assert truth["anatomy"]["trees"] == "train"


def test_grown_patients_say_so_and_have_no_tree(tmp_path):
    (folder,) = write_cohort(CohortPlan(tmp_path, patients=1, seed=0, config=CONFIG))

    assert json.loads((folder / TRUTH_FILE).read_text())["anatomy"] == {"kind": "grown"}


def test_goes_on_with_a_copy_of_the_same_anatomy(written, tmp_path, anatomy_folder):
    plan, folder = written
    before = (folder / "CTA1.nii.gz").stat().st_mtime_ns
    moved = AnatomyRequest(shutil.copytree(anatomy_folder, tmp_path / "moved"), "train")

    write_cohort(CohortPlan(plan.folder, patients=1, seed=2, config=CONFIG, anatomy=moved))

    assert (folder / "CTA1.nii.gz").stat().st_mtime_ns == before


@pytest.mark.parametrize("trees", ["all", None])
def test_refuses_to_mix_with_other_trees_or_grown_heads(written, trees):
    plan, _ = written
    request = AnatomyRequest(plan.anatomy.folder, trees) if trees else None

    with pytest.raises(OutputExists, match="there is another patient of this name"):
        write_cohort(CohortPlan(plan.folder, patients=1, seed=2, config=CONFIG, anatomy=request))


def test_folder_that_does_not_fit_leaves_nothing_behind(tmp_path):
    request = AnatomyRequest(tmp_path / "nowhere")
    plan = CohortPlan(tmp_path / "out", patients=1, seed=0, config=CONFIG, anatomy=request)

    with pytest.raises(InputMissing, match="nowhere: there is no arteries"):
        write_cohort(plan)
    assert not plan.folder.exists()


def test_source_has_the_tree_as_group_and_in_its_fingerprint(heads):
    anatomy = heads.draw(1, CONFIG)
    grown = PhantomSource(make_patient(1, CONFIG), "p", (Channel.CTA1,))
    real = PhantomSource(make_patient(1, CONFIG, anatomy=anatomy), "p", (Channel.CTA1,))

    assert grown.group is None
    assert real.group == real.about().group == anatomy.origin.tree
    assert grown.about().fingerprint != real.about().fingerprint


def test_commands_take_an_anatomy(tmp_path, anatomy_folder):
    real = ["--anatomy", str(anatomy_folder), "--trees", "0:2"]

    assert cli.main([str(tmp_path / "cohort"), *TINY, *real]) == 0
    assert cli.main(["prepare", str(tmp_path / "prepared"), *TINY, *real]) == 0

    truth = json.loads((tmp_path / "cohort" / "p0000000" / TRUTH_FILE).read_text())
    assert truth["anatomy"]["tree"] in {"tree_00", "tree_01"}


def test_trees_without_anatomy_are_refused(tmp_path, capsys):
    assert cli.main([str(tmp_path / "out"), *TINY, "--trees", "train"]) == 2
    assert "--trees needs --anatomy" in capsys.readouterr().err
