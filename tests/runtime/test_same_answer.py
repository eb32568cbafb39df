# SPDX-License-Identifier: Apache-2.0
"""One scan, one answer: to the byte, however it is stored and whatever computes it.

Each run is a process of its own with the shipped bundle, and all that it prints is compared but
what must differ: times, memory, the number of threads, and hashes of files stored otherwise.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.cpu import instruction_sets
from aminet_runtime.regions import REGION_COUNT

MAY_DIFFER = ("created", "timings_ms", "peak_rss_mib", "threads")
STORAGES = ("RAS", "LPI", "PSL", "SAR")  # flipped, upside down, two held as a whole
CAPS = {"AVX2": "AVX2", "AVX512_CORE": "AVX-512", "AVX512_CORE_VNNI": "VNNI"}
"""What caps a process, and the instructions that a CPU must have for it."""


@pytest.fixture
def patient(tmp_path, nifti, storages, head_hu, head_affine):
    """Write the head of the fixtures in one of the 48 ways."""
    by_code = {storage.code: storage for storage in storages}

    def write(code="LPS"):
        folder = tmp_path / code / "379"
        folder.mkdir(parents=True, exist_ok=True)
        for channel in Bundle.open(default_bundle_path()).metadata.input.channels:
            volume = head_hu if channel.in_hu else _stripes(head_hu)
            voxels, affine = by_code[code].store(volume, head_affine)
            nifti(voxels=voxels, affine=affine).write(folder / f"{channel.file_stem}.nii.gz")
        return folder

    return write


def _stripes(head_hu):
    """Return an atlas like a head: 15 stripes from right to left."""
    columns = np.indices(head_hu.shape)[2]
    return (columns * REGION_COUNT // head_hu.shape[2]).astype(head_hu.dtype)


def _answer(folder, *words, **variables):
    """Run the command, and return what it prints, as text that can be compared."""
    arguments = [str(folder), "--json", "--slices", *words]
    code = f"from aminet_runtime.cli import main; raise SystemExit(main({arguments!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    values["input"].pop("files")
    return json.dumps({key: value for key, value in values.items() if key not in MAY_DIFFER})


def test_runs_and_threads_give_the_same_bytes(patient):
    folder = patient()

    answers = {_answer(folder, "--threads", threads) for threads in ("1", "1", "2", "2")}

    assert len(answers) == 1
    assert '"probability": 0.' in answers.pop()


def test_storage_orders_give_the_same_bytes(patient):
    upright = _answer(patient())

    assert {code: _answer(patient(code)) == upright for code in STORAGES} == dict.fromkeys(
        STORAGES, True
    )


def test_instruction_sets_give_the_same_bytes(patient):
    folder = patient()
    here = [cap for cap, wanted in CAPS.items() if wanted in instruction_sets()]
    if not here:
        pytest.skip("this CPU has none of the instruction sets that can be capped")

    assert {_answer(folder, ONEDNN_MAX_CPU_ISA=cap) for cap in here} == {_answer(folder)}
