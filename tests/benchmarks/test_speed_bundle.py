# SPDX-License-Identifier: Apache-2.0
"""A bundle with random weights is a whole bundle, and says that it was never trained."""

import contextlib
import io
import json

import pytest

from aminet_benchmarks.cli import main
from aminet_benchmarks.usual_phantom import FULL_SHAPE
from aminet_runtime.bundle import Bundle
from aminet_runtime.patient import Channel
from aminet_runtime.selftest import largest_difference, read_selftest
from aminet_runtime.session import Session


@pytest.fixture(scope="module")
def printed_and_made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained") / "simple-untrained-int8"
    small = ["--model", "simple_cnn", "--size", "48x40", "--frame", "56"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["untrained", *small, "--json", "-o", str(folder)]) == 0
    return printed.getvalue(), folder


@pytest.fixture
def made(printed_and_made):
    return printed_and_made[1]


def test_it_opens_and_its_known_answers_hold(made):
    with Session.open(made, threads=1) as session:
        difference = largest_difference(
            read_selftest(session.bundle), lambda planes: session.answer(planes).probabilities
        )
    assert difference == pytest.approx(0.0, abs=1e-6)  # same engine, same settings


def test_it_says_that_it_was_never_trained(made):
    metadata = Bundle.open(made).metadata
    assert metadata.metrics is None
    assert "never trained" in metadata.intended_use
    assert "never trained" in (made / "README.md").read_text()


def test_it_reads_one_phase_of_the_usual_size_and_holds_twins_for_other_engines(made):
    found = Bundle.open(made).metadata.input
    assert found.channels == (Channel.CTA1,)
    assert found.training_shape == FULL_SHAPE
    assert (found.network_size_px, found.network_margin_px) == ((48, 40), (4, 8))
    assert (made / "model.onnx").exists()
    assert (made / "model-int8.onnx").exists()


def test_an_unknown_preset_is_refused(tmp_path, capsys):
    assert main(["untrained", "--channels", "ct", "-o", str(tmp_path / "b"), "--json"]) == 2
    assert "known are cta" in capsys.readouterr().err


def test_steps_are_printed_as_json(printed_and_made):
    assert json.loads(printed_and_made[0])["calibrate and quantise"] > 0
