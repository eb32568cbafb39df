# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aminet_benchmarks.reference import run
from aminet_benchmarks.reference.run import has_ended, run_stages
from aminet_benchmarks.reference.stage import Again, Stage, read_record
from aminet_runtime.errors import GateFailed, InputDamaged, OutputExists


@pytest.fixture(autouse=True)
def commands_are_python(monkeypatch):
    """Let the words of a stage be those of a Python interpreter."""
    monkeypatch.setattr(run, "_program", lambda _name: sys.executable)


def stage(name: str, program: str, again: Again = Again.SAME) -> Stage:
    return Stage(name, ("ours", "-c", program), Path("made") / name, again)


def writes(name: str, text: str = "x") -> str:
    """A program that appends to a file in the folder of its stage, and says so."""
    return (
        f"import pathlib; p = pathlib.Path('made/{name}'); p.mkdir(parents=True, exist_ok=True); "
        f"f = (p / 'file').open('a'); f.write('{text}'); print('wrote {name}')"
    )


def run_all(root, *stages):
    told: list[tuple[int, str, bool]] = []
    run_stages(
        root,
        stages,
        on_stage=lambda number, _count, one, record: told.append(
            (number, one.name, record is not None)
        ),
    )
    return told


def test_runs_in_the_folder_of_the_study_and_keeps_log_and_record(tmp_path):
    told = run_all(tmp_path, stage("a", writes("a")), stage("b", writes("b")))

    assert told == [(1, "a", False), (1, "a", True), (2, "b", False), (2, "b", True)]
    assert (tmp_path / "made" / "b" / "file").read_text() == "x"
    log = (tmp_path / "made" / "b.log").read_text()
    assert log.startswith("$ ours -c ")
    assert log.endswith("wrote b\n")
    record = read_record(tmp_path, stage("b", writes("b")))
    assert record is not None
    assert record.ended is not None
    assert record.attempts == 1
    assert 0 < record.wall_s < 60
    assert 0 < record.cpu_s < 60


def test_what_has_ended_is_skipped(tmp_path):
    stages = [stage("a", writes("a")), stage("b", writes("b"))]
    run_all(tmp_path, *stages)
    told = run_all(tmp_path, *stages)

    assert told == [(1, "a", True), (2, "b", True)]
    assert (tmp_path / "made" / "a" / "file").read_text() == "x"


def test_first_failure_is_named_and_ends_the_study(tmp_path):
    bad = stage("b", "raise SystemExit('b does not like it')")
    stages = [stage("a", writes("a")), bad, stage("c", writes("c"))]

    with pytest.raises(GateFailed, match="stage b ended with code 1: b does not like it"):
        run_all(tmp_path, *stages)

    assert not (tmp_path / "made" / "c").exists()
    assert not has_ended(tmp_path, bad)


def test_study_goes_on_behind_a_failure_that_was_mended(tmp_path):
    first = stage("a", writes("a"))
    needs_key = stage("b", f"open('key'); {writes('b')}")
    with pytest.raises(GateFailed):
        run_all(tmp_path, first, needs_key)
    (tmp_path / "key").touch()

    run_all(tmp_path, first, needs_key)

    assert (tmp_path / "made" / "a" / "file").read_text() == "x"
    record = read_record(tmp_path, needs_key)
    assert record is not None
    assert record.attempts == 2


def test_lost_output_is_made_again(tmp_path):
    one = stage("a", writes("a"))
    run_all(tmp_path, one)
    (tmp_path / "made" / "a" / "file").unlink()
    (tmp_path / "made" / "a").rmdir()

    run_all(tmp_path, one)

    assert (tmp_path / "made" / "a" / "file").exists()
    record = read_record(tmp_path, one)
    assert record is not None
    assert record.attempts == 1  # time that was spent on what is lost does not count


def test_refuses_what_was_made_with_other_options(tmp_path):
    run_all(tmp_path, stage("a", writes("a")))

    with pytest.raises(OutputExists, match="stage a has ended with other options"):
        run_all(tmp_path, stage("a", writes("a", "y")))


def test_refuses_a_record_that_it_did_not_write(tmp_path):
    one = stage("a", writes("a"))
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.stage.json").write_text(json.dumps({"command": ["ours"]}))

    with pytest.raises(InputDamaged, match="not the record of a stage"):
        run_all(tmp_path, one)


def test_stage_that_wants_an_empty_place_gets_one(tmp_path):
    needs_key = stage("a", f"{writes('a')}; f.close(); open('key')", Again.ANEW)
    with pytest.raises(GateFailed):
        run_all(tmp_path, needs_key)
    (tmp_path / "key").touch()

    run_all(tmp_path, needs_key)

    assert (tmp_path / "made" / "a" / "file").read_text() == "x"


@pytest.mark.parametrize("again", [Again.ANEW, Again.RESUME])
def test_what_somebody_typed_is_refused_and_not_removed(tmp_path, again):
    typed = tmp_path / "made" / "a"
    typed.mkdir(parents=True)
    (typed / "config.toml").write_text("hours of work")

    with pytest.raises(OutputExists, match="stage a did not begin what is here"):
        run_all(tmp_path, stage("a", writes("a"), again))

    assert (typed / "config.toml").read_text() == "hours of work"
    assert not (tmp_path / "made" / "a.stage.json").exists()


def test_what_was_made_on_other_cores_is_the_same(tmp_path):
    one = stage("a", writes("a"))
    run_all(tmp_path, replace(one, command=(*one.command, "--jobs", "1", "--threads", "1")))

    assert has_ended(tmp_path, replace(one, command=(*one.command, "--jobs", "2")))


def test_training_that_was_stopped_goes_on_with_other_threads(tmp_path):
    half = f"{writes('a')}; (p / 'config.toml').touch(); f.close(); raise SystemExit(1)"
    training = stage("a", half, Again.RESUME)
    with pytest.raises(GateFailed):
        run_all(tmp_path, training)

    more = replace(training, command=(*training.command, "--threads", "2"))
    assert run._stopped_before(tmp_path, more).attempts == 1
    assert run._words(tmp_path, more, goes_on=True) == ["ours", "--resume", "made/a"]


def test_training_that_was_stopped_is_resumed(tmp_path):
    from aminet_train.fitting.run_folder import RunFolder  # noqa: PLC0415 - loads torch

    training = replace(stage("a", writes("a")), again=Again.RESUME)
    assert run._words(tmp_path, training, goes_on=True) == list(training.command)
    (tmp_path / "made" / "a").mkdir(parents=True)
    RunFolder(tmp_path / "made" / "a").config.touch()
    assert run._words(tmp_path, training, goes_on=True) == ["ours", "--resume", "made/a"]


def test_training_that_began_with_other_options_is_refused_and_not_removed(tmp_path):
    half = f"{writes('a')}; (p / 'config.toml').touch(); f.close(); raise SystemExit(1)"
    with pytest.raises(GateFailed):
        run_all(tmp_path, stage("a", half, Again.RESUME))

    with pytest.raises(OutputExists, match="stage a did not begin what is here"):
        run_all(tmp_path, stage("a", writes("a", "y"), Again.RESUME))

    assert (tmp_path / "made" / "a" / "file").read_text() == "x"


PROGRAM = """
import sys
from pathlib import Path
from aminet_benchmarks.reference import run
from aminet_benchmarks.reference.stage import Stage
from aminet_runtime.signals import terminating_cleanly

run._program = lambda _name: sys.executable
child = "import os, time; open('child', 'w').write(str(os.getpid())); time.sleep(60)"
with terminating_cleanly():
    stage = Stage("a", ("ours", "-c", child), Path("a"))
    run.run_stages(Path(sys.argv[1]), [stage], on_stage=lambda *_: None)
"""


def test_no_command_outlives_a_study_that_is_ended(tmp_path):
    study = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)])
    try:
        child = _wait_for_number(tmp_path / "child")
        study.send_signal(signal.SIGTERM)
        assert study.wait(30) == 143
    finally:
        study.kill()
        study.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    record = json.loads((tmp_path / "a.stage.json").read_text())
    assert record["ended"] is None
    assert record["attempts"] == 1


def _wait_for_number(path: Path) -> int:
    for _ in range(600):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.05)
    raise TimeoutError(path)
