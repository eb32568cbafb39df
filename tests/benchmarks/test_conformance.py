# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.conformance.check import ANSWERS_SCHEMA, check_answers
from aminet_benchmarks.conformance.head import SHAPE, make_head, write_head
from aminet_benchmarks.conformance.kit import write_kit
from aminet_runtime import Session
from aminet_runtime.decision import find_regions
from aminet_runtime.errors import GateFailed, InputDamaged, ModelInvalid, UsageError
from aminet_runtime.patient import Channel
from aminet_runtime.volume import Volume


def canonical_volume(path):
    image = nibabel.load(path)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt("LPS")
    )
    turned = nibabel.apply_orientation(image.get_fdata(dtype=np.float32), turn)
    return np.ascontiguousarray(turned.transpose(2, 1, 0))


def unchanged(value):
    return value


@dataclasses.dataclass
class Port:
    """A host of its own, with the places in which ports go wrong."""

    window: Callable = unchanged
    canonical: Callable = canonical_volume
    threshold: Callable = unchanged

    def answer(self, kit: Path, out: Path) -> Path:
        expected = json.loads((kit / "conformance.json").read_text())
        with Session.open(threads=1) as session:
            self.session, self.metadata = session, session.bundle.metadata
            answers = {
                "schema": ANSWERS_SCHEMA,
                "slices": [self.scores([read_planes(kit, one)])[0] for one in expected["slices"]],
                "patients": {
                    one["name"]: self.patient(kit / one["folder"]) for one in expected["patients"]
                },
                "decisions": [
                    {"regions": self.regions(one["scores"])} for one in expected["decisions"]
                ],
            }
        out.write_text(json.dumps(answers))
        return out

    def scores(self, planes):
        return [
            self.session.answer(self.window(one).astype(np.float32)).probabilities.tolist()
            for one in planes
        ]

    def patient(self, folder: Path):
        volumes = [
            self.canonical(folder / f"{channel.file_stem}.nii.gz")
            for channel in self.metadata.input.channels
        ]
        planes = np.stack([self.window(volume) for volume in volumes], axis=1)  # [Z, C, H, W]
        scores = [score.probabilities.tolist() for score in self.session.stream(planes)]
        return {"regions": self.regions(scores), "slices": {"probabilities": scores}}

    def regions(self, scores):
        rule = self.metadata.decision
        bent = dataclasses.replace(rule, thresholds=tuple(map(self.threshold, rule.thresholds)))
        names = self.metadata.regions.names
        findings = find_regions(np.array(scores, np.float32), bent, names=names)
        return json.loads(json.dumps([dataclasses.asdict(finding) for finding in findings]))


def read_planes(kit, one):
    return np.fromfile(kit / one["file"], "<f4").reshape(one["shape"])


def as_stored(path):
    return np.ascontiguousarray(nibabel.load(path).get_fdata(dtype=np.float32).transpose(2, 1, 0))


def test_a_right_port_conforms(kit, tmp_path, capsys):
    answers = Port().answer(kit, tmp_path / "answers.json")
    assert check_answers(kit, answers) == []
    assert main(["conformance", "--check", str(kit), str(answers)]) == 0
    assert capsys.readouterr().out == "the port conforms\n"


def test_a_port_that_windows_before_the_network_fails(kit, tmp_path):
    port = Port(window=lambda hu: np.clip((hu + 100.0) / 600.0, 0.0, 1.0))
    wrong = check_answers(kit, port.answer(kit, tmp_path / "answers.json"))
    assert any(sentence.startswith("slice 0: a probability differs by") for sentence in wrong)


def test_a_port_that_ignores_the_orientation_fails_where_it_matters(kit, tmp_path):
    answers = Port(canonical=as_stored).answer(kit, tmp_path / "answers.json")
    wrong = check_answers(kit, answers)
    assert {sentence.split(":")[0] for sentence in wrong} >= {
        f"patient {p}" for p in ("RAS", "PSR")
    }
    assert not any(sentence.startswith(("patient LPS", "slice", "decision")) for sentence in wrong)


@pytest.mark.parametrize("shift", [-1e-6, 1e-6], ids=["too low", "too high"])
def test_a_port_with_rounded_thresholds_fails(kit, tmp_path, shift):
    port = Port(threshold=lambda threshold: None if threshold is None else threshold + shift)
    wrong = check_answers(kit, port.answer(kit, tmp_path / "answers.json"))
    assert any("affected" in s for s in wrong if s.startswith("decision"))


def test_a_port_that_leaves_parts_out_fails(kit, tmp_path, capsys):
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"schema": ANSWERS_SCHEMA}))
    assert main(["conformance", "--check", str(kit), str(answers)]) == 23
    printed = capsys.readouterr()
    assert "patient RAS: 15 regions are needed" in printed.out
    assert "E2331" in printed.err


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 10**400, True, "0.5"])
def test_a_port_that_answers_no_number_fails(kit, tmp_path, bad):
    def break_it(answers):
        answers["slices"][0][7] = bad
        answers["patients"]["RAS"]["slices"]["probabilities"][3][7] = bad

    wrong = check_answers(kit, changed_answers(kit, tmp_path, break_it))
    assert [sentence.split(":")[0] for sentence in wrong] == ["slice 0", "patient RAS"]
    assert all("a probability differs by inf" in sentence for sentence in wrong)


@pytest.mark.parametrize("key", ["affected", "probability", "threshold", "slices", "peak_slice"])
@pytest.mark.parametrize("bad", [None, "3", [None]])
def test_a_port_that_leaves_a_key_of_a_region_out_fails(kit, tmp_path, key, bad):
    answers = changed_answers(
        kit, tmp_path, lambda found: found["patients"]["RAS"]["regions"][2].update({key: bad})
    )
    (sentence,) = check_answers(kit, answers)
    assert sentence.startswith("patient RAS: ")
    assert f"{key} {bad} for " in sentence


@pytest.mark.parametrize("part", ["tolerance", "slices", "patients", "decisions"])
def test_a_kit_that_is_not_whole_is_refused(kit, tmp_path, part):
    answers = changed_answers(kit, tmp_path, lambda _found: None)
    expected = json.loads((kit / "conformance.json").read_text())
    del expected[part]
    (tmp_path / "conformance.json").write_text(json.dumps(expected))
    with pytest.raises(InputDamaged, match=f"no whole kit .*{part}"):
        check_answers(tmp_path, answers)


def changed_answers(kit, tmp_path, change):
    """Write the answers that the kit expects, with one change."""
    expected = json.loads((kit / "conformance.json").read_text())
    answers = {
        "schema": ANSWERS_SCHEMA,
        "slices": [one["probabilities"] for one in expected["slices"]],
        "patients": {
            one["name"]: {
                "regions": one["regions"],
                "slices": {"probabilities": one["probabilities"]},
            }
            for one in expected["patients"]
        },
        "decisions": [{"regions": one["regions"]} for one in expected["decisions"]],
    }
    change(answers)
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(answers))
    return path


def test_no_kit_is_written_that_a_fault_would_not_show_in(bundle_path, tmp_path):
    # the bands average over rows, so they cannot tell front from back
    with pytest.raises(GateFailed, match="front and back swapped"):
        write_kit(bundle_path, tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_no_kit_is_written_for_channels_that_are_not_in_hu(build_bundle, tmp_path):
    with pytest.raises(UsageError, match="SPIRAL"):
        write_kit(build_bundle(channels=(Channel.SPIRAL,)), tmp_path / "kit")


def test_no_kit_is_written_for_an_ensemble(tmp_path):
    (tmp_path / "vote" / "members" / "a").mkdir(parents=True)
    with pytest.raises(ModelInvalid, match=r"vote: this is an ensemble.*name one of its members"):
        write_kit(tmp_path / "vote", tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "LPI", "PSR", "IAL"])
def test_the_head_is_read_alike_in_every_orientation(tmp_path, orientation):
    path = tmp_path / "CTA1.nii.gz"
    write_head(path, make_head(0), orientation=orientation)
    with Volume.open(path) as volume:
        assert volume.shape == SHAPE
        assert volume.stored_orientation == orientation
    np.testing.assert_array_equal(canonical_volume(path), make_head(0))
