# SPDX-License-Identifier: Apache-2.0
"""An ensemble: every byte of every member is verified, and the majority of decisions decides."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import aminet_runtime
from aminet_runtime.budget import Budget
from aminet_runtime.bundle_files import write_manifest
from aminet_runtime.cli import main
from aminet_runtime.decision import DecisionRule, find_regions
from aminet_runtime.ensemble_bundle import (
    EnsembleBundle,
    EnsembleMetadata,
    ensemble_id,
    member_entry,
    write_ensemble_checksums,
)
from aminet_runtime.ensemble_session import EnsembleSession
from aminet_runtime.errors import (
    BudgetExceeded,
    InputInconsistent,
    ModelError,
    ModelIncompatible,
    ModelInvalid,
    ModelUntrusted,
)
from aminet_runtime.metadata import Precision
from aminet_runtime.patient import Channel
from aminet_runtime.session import Session
from aminet_runtime.vote import slice_votes, vote

SCHEMAS = Path(aminet_runtime.__file__).parent / "schemas"
SCHEMA = json.loads((SCHEMAS / "ensemble-bundle-1.schema.json").read_text())
RECIPES = (
    {"thresholds": (0.5,) * 15},
    {"thresholds": (0.05,) * 15},
    {"thresholds": (0.999,) * 15, "min_consecutive_slices": 1},
)


def write_ensemble(folder, bundles, **changes):
    """Write an ensemble of copies of bundles."""
    (folder / "members").mkdir(parents=True)
    entries = []
    for number, bundle in enumerate(bundles, start=1):
        member = folder / "members" / f"{number}-{bundle.name}"
        shutil.copytree(bundle, member)
        entries.append(member_entry(member))
    metadata = EnsembleMetadata(
        name="vote-of-three",
        members=tuple(entries),
        versions={"aminet": "0.1.0"},
        intended_use="Tests.",
        disclaimer="Votes in tests. Not a medical device.",
    )
    values = {**json.loads(metadata.to_bytes()), **changes}
    (folder / "metadata.json").write_text(json.dumps(values))
    (folder / "README.md").write_text("# vote-of-three\n")
    write_ensemble_checksums(folder)
    return folder


@pytest.fixture
def ensemble(build_bundle, tmp_path):
    return write_ensemble(tmp_path / "ensemble", [build_bundle(**recipe) for recipe in RECIPES])


# --- the vote


def members_of(scores, *rules):
    """Return findings and scores of members that see the same scores and decide by other rules."""
    names = [f"region {region}" for region in range(scores.shape[1])]
    return [find_regions(scores, rule, names=names) for rule in rules], [scores] * len(rules)


@pytest.mark.parametrize("decisions", list(itertools.product((True, False, None), repeat=3)))
def test_majority_of_all_members_decides(decisions):
    scores = np.full((3, 1), 0.5, np.float32)
    thresholds = {True: 0.1, False: 0.9, None: None}
    rules = [DecisionRule((thresholds[decision],), 1) for decision in decisions]
    findings, all_scores = members_of(scores, *rules)
    (finding,) = vote(findings, all_scores, slice_votes(all_scores, rules))

    ayes, abstained = decisions.count(True), decisions.count(None)
    if ayes >= 2:
        assert finding.affected is True
    elif ayes + abstained < 2:
        assert finding.affected is False
    else:
        assert finding.affected is None
        assert finding.probability is finding.threshold is finding.peak_slice is None
        return
    assert finding.affected == (finding.probability >= finding.threshold)
    assert finding.probability == ayes / 3


def test_slices_are_those_in_which_a_majority_agrees():
    first, second, third = (np.zeros((6, 1), np.float32) for _ in range(3))
    first[1:4], second[2:6], third[5] = 0.9, 0.8, 0.7
    second[3] = 0.95
    rules = [DecisionRule((0.5,), 1)] * 3
    scores = [first, second, third]
    findings = [find_regions(one, rules[0], names=["r"]) for one in scores]

    votes = slice_votes(scores, rules)
    (finding,) = vote(findings, scores, votes)

    assert votes[:, 0] == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 1 / 3, 2 / 3])
    assert finding.affected
    assert finding.probability == 1.0, "all three flag the region, in some slice"
    assert finding.slices == (2, 3, 5)
    assert finding.peak_slice == 3, "of as many votes the highest mean score"


def test_members_may_flag_a_region_in_different_slices():
    scores = [np.zeros((6, 1), np.float32) for _ in range(3)]
    scores[0][1] = scores[1][4] = 0.9
    rules = [DecisionRule((0.5,), 1)] * 3
    findings = [find_regions(one, rules[0], names=["r"]) for one in scores]
    (finding,) = vote(findings, scores, slice_votes(scores, rules))

    assert finding.affected
    assert finding.slices == ()
    assert finding.peak_slice == 1


def test_member_that_does_not_assess_a_region_votes_in_no_slice():
    scores = [np.ones((2, 1), np.float32)] * 3
    rules = [DecisionRule((None,), 1), *[DecisionRule((0.5,), 1)] * 2]

    assert slice_votes(scores, rules)[:, 0] == pytest.approx([2 / 3, 2 / 3])


# --- the run


def test_region_is_flagged_by_two_of_three(ensemble, build_bundle, write_patient):
    folder = write_patient(affected=(4, 7))
    alone = []
    for recipe in RECIPES:
        with Session.open(build_bundle(**recipe), threads=1) as session:
            alone.append(session.run(folder))
    with EnsembleSession.open(ensemble, threads=1) as session:
        result = session.run(folder)

    for index, finding in enumerate(result.regions):
        ayes = sum(one.regions[index].affected for one in alone)
        assert finding.affected == (ayes >= 2)
        assert finding.probability == ayes / 3
        assert finding.threshold == 2 / 3
    assert [finding.index for finding in result.affected] == [4, 7]
    pairs = zip(alone, RECIPES, strict=True)
    reached = [(one.scores >= recipe["thresholds"][0]) for one, recipe in pairs]
    np.testing.assert_allclose(result.scores, np.mean(reached, axis=0), atol=1e-7)


def test_result_says_that_it_is_of_the_ensemble(ensemble, write_patient):
    with EnsembleSession.open(ensemble, threads=1) as session:
        result = session.run(write_patient())

    said = EnsembleMetadata.from_json((ensemble / "metadata.json").read_bytes(), path=ensemble)
    assert result.model.id == ensemble_id(said.members)
    assert (result.model.approach, result.model.bundle) == ("ensemble", "vote-of-three")
    assert result.disclaimer == "Votes in tests. Not a medical device."
    schema = json.loads((SCHEMAS / "result-1.schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads(json.dumps(result.to_json_with_slices())))


@pytest.mark.parametrize(
    ("ran", "said"), [(["int8"] * 3, "int8"), (["int8", "fp32", "int8"], "mixed")]
)
def test_precision_is_that_of_the_networks_that_ran(ensemble, monkeypatch, ran, said):
    """ONNX Runtime runs the float networks of INT8 bundles."""
    with EnsembleSession.open(ensemble, threads=1) as session:
        assert session.model_reference().precision == "fp32"
        for member, precision in zip(session.members, ran, strict=True):
            monkeypatch.setattr(member._engine, "_precision", Precision(precision))
        assert session.model_reference().precision == said


def test_members_may_read_different_channels(build_bundle, write_patient, tmp_path):
    channels = [(Channel.CTA2,), (Channel.CTA1,), (Channel.CTA1, Channel.CTA3)]
    bundles = [build_bundle(channels=one) for one in channels]
    ensemble = write_ensemble(tmp_path / "ensemble", bundles)
    folder = write_patient(channels=(Channel.CTA1, Channel.CTA2, Channel.CTA3))
    with EnsembleSession.open(ensemble, threads=1) as session:
        result = session.run(folder)

    assert list(result.input.files) == ["CTA2regA.nii.gz", "CTA1.nii.gz", "CTA3regA.nii.gz"]
    assert [finding.index for finding in result.affected] == [4, 7]


def test_channels_of_different_members_must_share_one_grid(
    build_bundle, write_patient, make_head, make_nifti, tmp_path
):
    bundles = [build_bundle(channels=(one,)) for one in (Channel.CTA1, Channel.CTA2, Channel.CTA3)]
    ensemble = write_ensemble(tmp_path / "ensemble", bundles)
    folder = write_patient(channels=(Channel.CTA1, Channel.CTA2, Channel.CTA3))
    (folder / "CTA3regA.nii.gz").write_bytes(make_nifti(make_head()[1:]))

    with (
        EnsembleSession.open(ensemble, threads=1) as session,
        pytest.raises(InputInconsistent, match="the grid is not that of"),
    ):
        session.run(folder)


def test_progress_counts_the_slices_of_all_members(ensemble, write_patient):
    seen = []
    with EnsembleSession.open(ensemble, threads=1) as session:
        session.run(write_patient(), on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(done, 36) for done in range(1, 37)]


def test_time_limit_is_that_of_all_members_together(ensemble, write_patient):
    with (
        EnsembleSession.open(ensemble, threads=1) as session,
        pytest.raises(BudgetExceeded, match=r"time limit of 0\.001 s"),
    ):
        session.run(write_patient(), budget=Budget(time_limit_s=0.001))


def test_openings_count_once_against_the_time_limit(ensemble, write_patient):
    with EnsembleSession.open(ensemble, threads=1) as session:
        for member in session.members:
            member._opening_s = 20.0
        session.run(write_patient("a"), budget=Budget(time_limit_s=90.0))
        for member in session.members:
            member._opening_s = 20.0
        with pytest.raises(BudgetExceeded, match=r"time limit of 59 s"):
            session.run(write_patient("b"), budget=Budget(time_limit_s=59.0))


def test_command_runs_it_alone_and_in_jobs(ensemble, write_patient, tmp_path, capsys):
    folders = [str(write_patient(name)) for name in ("a", "b")]
    output = tmp_path / "results"
    words = ["--bundle", str(ensemble), "--json", "--threads", "1", "-o", str(output)]

    assert main([*words, folders[0]]) == 0
    assert main([*words, *folders, "--jobs", "2", "--skip-done"]) == 0

    first, again, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert again == first
    assert second["regions"] == first["regions"]
    assert "2 of 15 regions flagged" in (output / "b" / "report.html").read_text(encoding="utf-8")


def test_result_with_an_open_vote_is_skipped_once_done(
    build_bundle, write_patient, tmp_path, capsys
):
    """Two members disagree on region 4, and the third abstains."""
    open_vote = (*[0.5] * 4, None, *[0.5] * 10)
    rules = [(0.5,) * 15, (0.999,) * 15, open_vote]
    bundles = [build_bundle(thresholds=rule) for rule in rules]
    ensemble = write_ensemble(tmp_path / "open", bundles)
    words = ["--bundle", str(ensemble), "--threads", "1", "-o", str(tmp_path / "results")]
    words += [str(write_patient(affected=(4,))), "--skip-done"]

    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["regions"][4]["threshold"] is None
    assert main(words) == 0
    assert capsys.readouterr().out == "379: done before\n"


def test_doctor_examines_each_member(ensemble, capsys):
    assert main(["--bundle", str(ensemble), "--doctor", "--json"]) == 0

    checks = [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]]
    assert checks.count("self-test") == checks.count("bundle") == 3


# --- trust


def member_files(ensemble):
    return sorted(path for path in ensemble.rglob("*") if path.is_file())


def test_each_changed_file_is_noticed(ensemble):
    files = member_files(ensemble)
    assert len(files) == 3 + 3 * 7
    for path in files:
        original = path.read_bytes()
        for changed in (original[:-1], bytes([original[0] ^ 1]) + original[1:]):
            path.write_bytes(changed)
            with pytest.raises(ModelUntrusted):
                EnsembleBundle.open(ensemble)
        path.write_bytes(original)
    EnsembleBundle.open(ensemble)


def test_member_that_was_published_anew_is_noticed(ensemble):
    """Its own check sums are right, but they are not those that the ensemble names."""
    member = next((ensemble / "members").iterdir())
    (member / "README.md").write_text("changed")
    write_manifest(member)

    with pytest.raises(ModelUntrusted, match="this member is not the published one") as caught:
        EnsembleBundle.open(ensemble)
    assert caught.value.path == member


@pytest.mark.parametrize("what", ["members", "members/1-bands-fp32"])
def test_links_are_refused(ensemble, what):
    place = ensemble / what
    place.rename(ensemble.parent / "elsewhere")
    place.symlink_to(ensemble.parent / "elsewhere")

    with pytest.raises(ModelUntrusted, match="this is a link"):
        EnsembleBundle.open(ensemble)


def test_missing_member_is_named(ensemble):
    shutil.rmtree(ensemble / "members" / "2-bands-fp32")

    with pytest.raises(ModelUntrusted, match="not there"):
        EnsembleBundle.open(ensemble)


def test_members_of_different_regions_do_not_vote(build_bundle, tmp_path):
    names = tuple(f"other {region}" for region in range(15))
    bundles = [build_bundle(), build_bundle(), build_bundle(names=names)]

    with pytest.raises(ModelInvalid, match="do not answer for the same regions"):
        EnsembleBundle.open(write_ensemble(tmp_path / "ensemble", bundles))


def test_ensemble_cannot_be_a_member(ensemble, build_bundle, tmp_path):
    nested = write_ensemble(tmp_path / "nested", [build_bundle(), build_bundle(), ensemble])

    with pytest.raises(ModelError):
        EnsembleBundle.open(nested)


def test_metadata_satisfies_the_schema(ensemble):
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(json.loads((ensemble / "metadata.json").read_bytes()))


ENTRY = {"folder": "a", "sha256sums": "0" * 64}


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"schema": "aminet.ensemble-bundle/2"}, ModelIncompatible, "the schema is not"),
        ({"vote": "mean"}, ModelInvalid, "vote is not majority"),
        ({"name": "../x"}, ModelInvalid, "name may hold"),
        ({"name": "con"}, ModelInvalid, "not be a device of Windows"),
        ({"members": []}, ModelInvalid, "members are not an odd number"),
        ({"members": [ENTRY] * 2}, ModelInvalid, "members are not an odd number"),
        ({"members": [ENTRY] * 3}, ModelInvalid, "members name a folder twice"),
        ({"members": [{**ENTRY, "folder": ".."}]}, ModelInvalid, r"members\[0\]\.folder may hold"),
        ({"members": [{**ENTRY, "folder": "a."}]}, ModelInvalid, "not end in a dot"),
        ({"members": [{"folder": "a"}]}, ModelInvalid, r"members\[0\]\.sha256sums is missing"),
        (
            {"members": [{"folder": name, "sha256sums": "x"} for name in "abc"]},
            ModelInvalid,
            "something else than sha256",
        ),
        ({"disclaimer": ""}, ModelInvalid, "disclaimer is a text"),
    ],
)
def test_refuses_values_that_cannot_be_meant(build_bundle, tmp_path, changes, kind, message):
    folder = write_ensemble(tmp_path / "ensemble", [build_bundle()] * 3, **changes)

    with pytest.raises(kind, match=message):
        EnsembleBundle.open(folder)
