# SPDX-License-Identifier: Apache-2.0
"""Whole or absent: also when the disk is full, the place is wrong or an earlier run was killed."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aminet_runtime import publish
from aminet_runtime.errors import BudgetExceeded, OutputExists, OutputNotWritable

OLD = b"the old result"
NEW = b"the new result"


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def fail_with(number):
    def failing(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return failing


def test_writes_the_bytes_and_leaves_nothing_else(tmp_path):
    publish.write_whole(tmp_path / "result.json", NEW)

    assert (tmp_path / "result.json").read_bytes() == NEW
    assert names(tmp_path) == ["result.json"]


def test_makes_missing_folders(tmp_path):
    publish.write_whole(tmp_path / "a" / "b" / "result.json", NEW)

    assert (tmp_path / "a" / "b" / "result.json").read_bytes() == NEW


def test_replaces_what_is_there(tmp_path):
    (tmp_path / "result.json").write_bytes(OLD)

    publish.write_whole(tmp_path / "result.json", NEW)

    assert (tmp_path / "result.json").read_bytes() == NEW


def test_link_is_replaced_and_its_target_untouched(tmp_path):
    (tmp_path / "target").write_bytes(OLD)
    (tmp_path / "result.json").symlink_to(tmp_path / "target")

    publish.write_whole(tmp_path / "result.json", NEW)

    assert (tmp_path / "target").read_bytes() == OLD
    assert not (tmp_path / "result.json").is_symlink()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
        (errno.EIO, "cannot be written"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be written"),
        (errno.ENAMETOOLONG, "does not take this name"),
    ],
)
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_failing_step_leaves_the_old_file_and_no_stray(
    tmp_path, monkeypatch, number, message, step
):
    target = tmp_path / "result.json"
    target.write_bytes(OLD)
    owner = Path if step == "replace" else os
    monkeypatch.setattr(owner, step, fail_with(number))

    with pytest.raises(OutputNotWritable, match=message) as caught:
        publish.write_whole(target, NEW)

    monkeypatch.undo()
    assert caught.value.exit_code == 30
    assert caught.value.path == target
    assert target.read_bytes() == OLD
    assert names(tmp_path) == ["result.json"]


def test_interruption_leaves_no_stray(tmp_path, monkeypatch):
    def interrupted(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)

    with pytest.raises(KeyboardInterrupt):
        publish.write_whole(tmp_path / "result.json", NEW)

    assert names(tmp_path) == []


def test_time_limit_within_a_write_stays_a_time_limit(tmp_path, monkeypatch):
    """BudgetExceeded is an OSError too, and must not turn into an error of the disk."""

    def over_time(_descriptor):
        raise BudgetExceeded("over the time limit")

    monkeypatch.setattr(os, "fsync", over_time)

    with pytest.raises(BudgetExceeded):
        publish.write_whole(tmp_path / "result.json", NEW)


def test_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "results").write_bytes(b"")

    with pytest.raises(OutputNotWritable, match="is in the way"):
        publish.write_whole(tmp_path / "results" / "379" / "result.json", NEW)


def test_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / "result.json").mkdir()

    with pytest.raises(OutputNotWritable, match="is in the way"):
        publish.write_whole(tmp_path / "result.json", NEW)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputNotWritable, match="check the permissions"):
            publish.write_whole(tmp_path / "result.json", NEW)
    finally:
        tmp_path.chmod(0o700)


def test_name_of_255_bytes_can_be_written(tmp_path):
    target = tmp_path / ("ä" * 127)

    publish.write_whole(target, NEW)

    assert target.read_bytes() == NEW


def test_write_new_refuses_what_is_there(tmp_path):
    (tmp_path / "result.json").write_bytes(OLD)

    with pytest.raises(OutputExists, match=r"is there already.*drop --no-clobber") as caught:
        publish.write_new(tmp_path / "result.json", NEW)

    assert caught.value.exit_code == 31
    assert (tmp_path / "result.json").read_bytes() == OLD
    assert names(tmp_path) == ["result.json"]


def test_write_new_refuses_a_broken_link(tmp_path):
    (tmp_path / "result.json").symlink_to(tmp_path / "nowhere")

    with pytest.raises(OutputExists):
        publish.write_new(tmp_path / "result.json", NEW)


def test_write_new_loses_against_a_run_that_was_faster(tmp_path, monkeypatch):
    target = tmp_path / "result.json"
    write_synced = publish._write_synced

    def and_another_run_writes_first(path, data):
        write_synced(path, data)
        target.write_bytes(OLD)

    monkeypatch.setattr(publish, "_write_synced", and_another_run_writes_first)

    with pytest.raises(OutputExists):
        publish.write_new(target, NEW)

    assert target.read_bytes() == OLD
    assert names(tmp_path) == ["result.json"]


def test_write_new_works_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", fail_with(errno.EPERM))

    publish.write_new(tmp_path / "result.json", NEW)

    assert names(tmp_path) == ["result.json"]


def killed_run(folder, kind):
    """Let a process of its own die in the middle of a write and return what it left."""
    step = {
        "file": "publish.write_whole(folder / 'result.json', b'half')",
        "folder": "block = publish.publish_folder(folder / 'bundle'); block.__enter__()",
    }[kind]
    code = (
        "import os, sys; from pathlib import Path; from aminet_runtime import publish;"
        "os.fsync = lambda _: os._exit(9); folder = Path(sys.argv[1]);"
        f"{step}; os._exit(9)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False, env=environment)
    return names(folder)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see who is gone")
def test_next_run_removes_what_a_killed_one_left(tmp_path, kind):
    assert len(killed_run(tmp_path, kind)) == 1

    publish.write_whole(tmp_path / "other.json", NEW)

    assert names(tmp_path) == ["other.json"]


def stray(folder, *, machine=None, process_id, age_s=0.0):
    machine = publish._machine_tag() if machine is None else machine
    path = folder / f".result.json.00000000.{machine}.{process_id}.partial"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see who lives")
def test_temporary_of_a_living_run_stays_for_as_long_as_it_takes(tmp_path):
    beside_us = stray(tmp_path, process_id=os.getppid(), age_s=9999)

    publish.write_whole(tmp_path / "result.json", NEW)

    assert beside_us.exists()


def test_age_tells_where_nobody_can_see_who_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "_PROCESSES", Path("/nowhere"))
    recent = stray(tmp_path, process_id=4_000_000)
    old = stray(tmp_path, process_id=os.getppid(), age_s=3700)

    publish.write_whole(tmp_path / "result.json", NEW)

    assert recent.exists()
    assert not old.exists()


def test_temporary_of_another_machine_stays_for_an_hour(tmp_path):
    recent = stray(tmp_path, machine="00000000", process_id=4_000_000)
    old = stray(tmp_path, machine="00000001", process_id=4_000_000, age_s=3700)

    publish.write_whole(tmp_path / "result.json", NEW)

    assert recent.exists()
    assert not old.exists()


def test_files_of_others_with_a_similar_name_stay(tmp_path):
    theirs = tmp_path / ".download.partial"
    theirs.write_bytes(b"theirs")
    os.utime(theirs, (0, 0))

    publish.write_whole(tmp_path / "result.json", NEW)

    assert theirs.exists()


def test_folder_appears_when_the_block_has_ended(tmp_path):
    with publish.publish_folder(tmp_path / "bundle") as building:
        (building / "model.xml").write_bytes(NEW)
        assert not (tmp_path / "bundle").exists()

    assert (tmp_path / "bundle" / "model.xml").read_bytes() == NEW
    assert names(tmp_path) == ["bundle"]


def test_folder_does_not_appear_when_the_block_fails(tmp_path):
    with pytest.raises(RuntimeError), publish.publish_folder(tmp_path / "bundle") as building:  # noqa: PT012
        (building / "model.xml").write_bytes(NEW)
        raise RuntimeError

    assert names(tmp_path) == []


def test_filled_folder_is_not_replaced(tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.xml").write_bytes(OLD)

    with (
        pytest.raises(OutputExists, match=r"remove it, or name another folder$"),
        publish.publish_folder(tmp_path / "bundle"),
    ):
        pass

    assert (tmp_path / "bundle" / "model.xml").read_bytes() == OLD
    assert names(tmp_path) == ["bundle"]


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / "bundle").mkdir()

    with publish.publish_folder(tmp_path / "bundle") as building:
        (building / "model.xml").write_bytes(NEW)

    assert names(tmp_path / "bundle") == ["model.xml"]


def test_full_disk_at_the_end_publishes_no_folder(tmp_path, monkeypatch):
    with (  # noqa: PT012
        pytest.raises(OutputNotWritable, match="no space"),
        publish.publish_folder(tmp_path / "bundle") as building,
    ):
        (building / "model.xml").write_bytes(NEW)
        monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))

    assert names(tmp_path) == []


def test_place_is_tried_before_the_work(tmp_path):
    publish.require_writable_folder(tmp_path / "results")

    assert names(tmp_path / "results") == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputNotWritable):
        publish.require_writable_folder(tmp_path / "file")


def test_works_where_folders_cannot_be_synced(tmp_path, monkeypatch):
    monkeypatch.setattr(publish.os, "name", "nt")

    publish._sync_folder(tmp_path / "does not matter")
