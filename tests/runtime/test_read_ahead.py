# SPDX-License-Identifier: Apache-2.0
"""Reading ahead gives the same slices, raises at the same slice, and ends when it is told to."""

import itertools
import signal
import threading
import time

import numpy as np
import pytest

from aminet_runtime import read_ahead
from aminet_runtime.cli import main
from aminet_runtime.errors import InputDamaged
from aminet_runtime.nifti_file import NiftiFile
from aminet_runtime.read_ahead import ReadAhead
from aminet_runtime.volume import Volume


def _slices(path, *, ahead):
    with Volume.open(path) as volume:
        if ahead:
            volume.read_ahead()
        found = [(one.index, one.stored.copy()) for one in volume.slices()]
        return found, volume.sha256


def _readers():
    return [one for one in threading.enumerate() if one.name.startswith("aminet-read")]


def _end_of_readers():
    deadline = time.monotonic() + 10
    while _readers() and time.monotonic() < deadline:
        time.sleep(0.01)
    return _readers()


def test_slices_and_hash_are_those_of_a_plain_read(stored_alike, tmp_path):
    for code, stored in stored_alike().items():
        path = stored.write(tmp_path / f"{code}.nii.gz")
        plain, plain_hash = _slices(path, ahead=False)
        found, found_hash = _slices(path, ahead=True)
        assert [index for index, _ in found] == [index for index, _ in plain]
        assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, plain, strict=True))
        assert found_hash == plain_hash
    assert not _end_of_readers()


def test_a_slice_stays_until_the_next_one_is_asked_for(small_nifti, tmp_path):
    path = small_nifti.write(tmp_path / "CTA1.nii")
    plain, _ = _slices(path, ahead=False)
    with Volume.open(path) as volume:
        volume.read_ahead()
        for one, (_, values) in zip(volume.slices(), plain, strict=True):
            time.sleep(0.005)  # the next slice is read by now
            assert np.array_equal(one.stored, values)


def test_an_error_is_raised_where_a_plain_read_raises_it(nifti, tmp_path):
    noise = np.random.default_rng(1).integers(-1000, 1000, (64, 64, 40)).astype(np.int16)
    path = nifti(voxels=noise).write(tmp_path / "CTA1.nii.gz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def slices_before_the_error(*, ahead):
        seen = []
        with Volume.open(path) as volume:
            if ahead:
                volume.read_ahead()
            with pytest.raises(InputDamaged) as caught:
                seen.extend(one.index for one in volume.slices())
        return seen, str(caught.value)

    seen, message = slices_before_the_error(ahead=False)
    assert len(seen) > 10
    assert slices_before_the_error(ahead=True) == (seen, message)
    assert not _end_of_readers()


def test_leaving_early_ends_the_thread_and_closes_the_file(small_nifti, tmp_path):
    with Volume.open(small_nifti.write(tmp_path / "CTA1.nii.gz")) as volume:
        volume.read_ahead()
        next(volume.slices())
    assert not _end_of_readers()
    with pytest.raises(ValueError, match="closed file"):
        volume._file._source._file.size  # noqa: B018 - asks the file


def test_a_file_is_closed_only_once_a_read_that_hangs_comes_back(monkeypatch):
    monkeypatch.setattr(read_ahead, "LONGEST_READ_S", 0.05)
    begun, drive_is_back = threading.Event(), threading.Event()

    def hang():
        begun.set()
        drive_is_back.wait(10)

    reader = ReadAhead()
    next(reader.one_ahead(iter([lambda: None, hang])))
    assert begun.wait(10)
    released = threading.Event()
    reader.close(released.set)
    assert not released.is_set()
    drive_is_back.set()
    assert released.wait(10)
    assert not _end_of_readers()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs alarm signals")
def test_time_limit_ends_a_run_whose_reader_hangs(
    bundle_path, write_patient, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(read_ahead, "LONGEST_READ_S", 0.05)
    drive_is_back = threading.Event()
    read_slice, reads = NiftiFile.read_slice, itertools.count()

    def hang(self, buffer):
        if next(reads) == 3:
            drive_is_back.wait(60)
        read_slice(self, buffer)

    monkeypatch.setattr(NiftiFile, "read_slice", hang)
    words = ["--bundle", str(bundle_path), str(write_patient()), "--threads", "2"]
    code = main([*words, "--time-limit", "2", "-o", str(tmp_path / "out")])
    hangs = bool(_readers())
    drive_is_back.set()

    assert code == 40
    assert hangs
    assert "not done within the time limit" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("result.json"))
    assert not _end_of_readers()
