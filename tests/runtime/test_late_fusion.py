# SPDX-License-Identifier: Apache-2.0
"""Networks that see each slice alone: cut in two, each slice seen once, the same answers."""

from dataclasses import replace

import numpy as np
import pytest

from aminet_runtime.bundle import Bundle
from aminet_runtime.doctor import REPEATS, _seconds_per_pass
from aminet_runtime.engines.openvino import OpenVinoEngine, OpenVinoNetwork, OpenVinoParts
from aminet_runtime.engines.openvino_cut import FEATURES, SLICES_ALONE, cut, has_cut
from aminet_runtime.engines.openvino_import import import_openvino, shared_core
from aminet_runtime.errors import ModelInvalid
from aminet_runtime.patient import Channel
from aminet_runtime.selftest import TOLERANCE, largest_difference, read_selftest
from aminet_runtime.session import Session

TWO = (Channel.CTA1, Channel.CTA2)
DEPTH = 12
SUM_IN_FLOAT32 = 2e-6


@pytest.fixture(scope="module")
def bundles(build_bundle):
    """The same answers by late fusion and by planes side by side: two channels, a window of 5."""
    return [
        build_bundle(channels=TWO, window=5, window_spacing_mm=10.0, late_fusion=late)
        for late in (True, False)
    ]


class Observer:
    """Keeps what it is shown."""

    def __init__(self):
        self.seen = {}

    def see(self, scored, planes):
        self.seen[scored.index] = planes.copy()


def test_answers_as_planes_side_by_side_do(bundles, write_patient):
    folder = write_patient(channels=TWO)
    results = []
    for bundle in bundles:
        with Session.open(bundle, threads=1) as session:
            results.append(session.run(folder))
    late, early = results
    np.testing.assert_allclose(late.scores, early.scores, atol=SUM_IN_FLOAT32)
    assert late.scores.std() > 0.01


def test_each_slice_is_looked_at_once(bundles, write_patient, monkeypatch):
    looks = []
    look = OpenVinoParts.look
    monkeypatch.setattr(OpenVinoParts, "look", lambda self: looks.append(1) or look(self))
    with Session.open(bundles[0], threads=1) as session:
        assert len(session.run(write_patient(channels=TWO)).scores) == DEPTH
    assert len(looks) == DEPTH


@pytest.mark.parametrize("upside_down", [(Channel.CTA1,), TWO])
def test_storage_order_changes_no_bit(bundles, write_patient, upside_down):
    folders = [
        write_patient("up", channels=TWO),
        write_patient("down", channels=TWO, upside_down=upside_down),
    ]
    with Session.open(bundles[0], threads=1) as session:
        up, down = (session.run(folder).scores for folder in folders)
    assert np.array_equal(up, down)


def test_stream_agrees_with_run_and_streams_may_be_consumed_in_turns(
    bundles, write_patient, make_head
):
    volume = np.stack([make_head(affected=(4, 7), seed=n) for n in range(2)], axis=1)
    slices = volume.astype(np.float32)  # [Z, C, H, W]
    with Session.open(bundles[0], threads=1) as session:
        expected = session.run(write_patient(channels=TWO)).scores
        streams = [session.stream(part, slice_spacing_mm=5.0) for part in (slices, slices[:, ::-1])]
        pairs = list(zip(*streams, strict=True))
    assert [first.index for first, _ in pairs] == list(range(DEPTH))
    assert np.array_equal([first.probabilities for first, _ in pairs], expected)
    assert not np.array_equal([second.probabilities for _, second in pairs], expected)


@pytest.mark.parametrize("upside_down", [(), TWO])
def test_observer_is_shown_the_slice_that_was_scored(
    bundles, write_patient, make_head, upside_down
):
    observer = Observer()
    with Session.open(bundles[0], threads=1) as session:
        session.run(write_patient(channels=TWO, upside_down=upside_down), observer=observer)
    volumes = [make_head(affected=(4, 7), seed=number) for number in range(2)]
    assert sorted(observer.seen) == list(range(DEPTH))
    for index, planes in observer.seen.items():
        assert np.array_equal(planes, [volume[index] for volume in volumes])


def test_self_test_is_taken_by_both_parts(bundles):
    with Session.open(bundles[0], threads=1) as session:
        selftest = read_selftest(session.bundle)
        worst = largest_difference(selftest, lambda planes: session.answer(planes).probabilities)
    assert worst < TOLERANCE / 1000


def test_only_named_graphs_are_cut(bundles):
    late, early = (
        OpenVinoEngine(Bundle.open(path), threads=1).compile(height=60, width=60)
        for path in bundles
    )
    assert isinstance(late, OpenVinoParts)
    assert isinstance(early, OpenVinoNetwork)
    assert early.features is None
    with pytest.raises(NotImplementedError):
        early.look()


def test_the_cut_leaves_the_whole_as_it_is(bundles):
    bundle = Bundle.open(bundles[0])
    model = shared_core().read_model(model=bundle.model_xml, weights=bundle.model_bin)
    before = str(model)
    alone, together = cut(model, channels=2)
    assert str(model) == before
    assert has_cut(model)
    assert [port.get_any_name() for port in (*alone.inputs, *alone.outputs)] == ["slices", FEATURES]
    assert [port.get_any_name() for port in together.outputs] == ["probabilities", "evidence"]


def renamed(model, old, new):
    for node in model.get_ordered_ops():
        for output in node.outputs():
            if old in output.get_names():
                output.set_names({new})


@pytest.mark.parametrize("missing", [SLICES_ALONE, FEATURES])
def test_half_a_cut_is_refused(bundles, tmp_path, missing):
    openvino = import_openvino()
    bundle = Bundle.open(bundles[0])
    model = shared_core().read_model(model=bundle.model_xml, weights=bundle.model_bin)
    renamed(model, missing, "something")
    openvino.save_model(model, tmp_path / "model.xml", compress_to_fp16=False)
    bad = replaced(bundle, tmp_path)
    with pytest.raises(ModelInvalid, match=f"no tensor {missing}") as caught:
        OpenVinoEngine(bad, threads=1)
    assert caught.value.code == "E2026"


def test_a_cut_through_other_channels_is_refused(bundles, tmp_path):
    openvino = import_openvino()
    bundle = Bundle.open(bundles[0])
    model = shared_core().read_model(model=bundle.model_xml, weights=bundle.model_bin)
    renamed(model, SLICES_ALONE, "something")
    renamed(model, "slices", SLICES_ALONE)
    model.inputs[0].set_names({"slices", SLICES_ALONE})
    openvino.save_model(model, tmp_path / "model.xml", compress_to_fp16=False)
    with pytest.raises(ModelInvalid, match="slices_alone has 10 channels, not 2"):
        OpenVinoEngine(replaced(bundle, tmp_path), threads=1)


def test_a_cut_without_neighbours_is_refused(build_bundle):
    with pytest.raises(ModelInvalid, match="a window of 1 has no neighbours") as caught:
        Session.open(build_bundle(late_fusion=True), threads=1)
    assert caught.value.code == "E2026"


def replaced(bundle, folder):
    """Return a bundle with the network of another folder."""
    xml, weights = ((folder / name).read_bytes() for name in ("model.xml", "model.bin"))
    return replace(bundle, model_xml=xml, model_bin=weights)


def test_doctor_counts_one_look_a_slice(bundles, monkeypatch):
    calls = {"look": 0, "infer": 0}
    for name in calls:
        called = getattr(OpenVinoParts, name)

        def counted(self, name=name, called=called):
            calls[name] += 1
            return called(self)

        monkeypatch.setattr(OpenVinoParts, name, counted)
    with Session.open(bundles[0], threads=1) as session:
        _seconds_per_pass(session)
    # neighbours 10 mm apart are 16 slices away, and two of them on each side
    assert calls == {"look": 2 * 16 + 1 + REPEATS, "infer": 1 + REPEATS}
