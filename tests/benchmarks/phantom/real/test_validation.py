# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from aminet_benchmarks.phantom import cli, validate
from aminet_benchmarks.phantom.validate import BOUNDS


@pytest.fixture
def measured(monkeypatch):
    """Let each kind of head measure as its first tree does, without drawing 60 patients."""
    middles = {name: (bound.low + bound.high) / 2 for name, bound in BOUNDS.items()}
    kinds = []

    def measure(patients, config, *, anatomy_of, on_progress):  # noqa: ARG001 - the real signature
        kinds.append(anatomy_of(900_000, config).origin.kind)
        return middles

    monkeypatch.setattr(validate, "measure", measure)
    return kinds


def test_both_kinds_of_heads_stand_side_by_side(measured, anatomy_folder, capsys):
    assert cli.main(["validate", "--anatomy", str(anatomy_folder)]) == 0

    header = capsys.readouterr().out.splitlines()[0]
    assert measured == ["grown", "real"]
    assert header.split()[:3] == ["figure", "grown", "real"]


def test_json_of_both_kinds_is_told_apart(measured, anatomy_folder, capsys):
    assert cli.main(["validate", "--anatomy", str(anatomy_folder), "--json"]) == 0

    assert set(json.loads(capsys.readouterr().out)) == {"grown", "real"}
    assert measured == ["grown", "real"]


def test_without_anatomy_only_grown_heads_are_measured(measured, capsys):
    assert cli.main(["validate"]) == 0

    assert measured == ["grown"]
    assert capsys.readouterr().out.splitlines()[0].split()[:2] == ["figure", "grown"]
