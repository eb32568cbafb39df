# SPDX-License-Identifier: Apache-2.0
"""A preparation that is killed goes on, and ends as one that was not.

More kills: `AMINET_TEST_KILLS=10 pytest tests/train/test_prepare_killed.py`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aminet_runtime.patient import Channel

PATIENTS = 12
KILLS = int(os.environ.get("AMINET_TEST_KILLS", "3"))
COMMAND = "import sys; from aminet_train.commands.prepare import main; sys.exit(main(sys.argv[1:]))"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")


@pytest.fixture
def cohort(write_patient, make_nifti, make_head) -> Path:
    shape = make_head().shape
    for number in range(PATIENTS):
        atlas, clot = np.full(shape, number % 15, np.uint8), np.zeros(shape, np.uint8)
        clot[4, 30, 30] = 1
        folder = write_patient(
            f"p{number}",
            channels=(Channel.CTA2,),
            affected=(number,) if 3 < number < 11 else (5, number),
        )
        (folder / "ATLASMASKregA.nii").write_bytes(make_nifti(atlas))
        (folder / "p_clot.nii").write_bytes(make_nifti(clot))
    return folder.parent


def start(cohort: Path, output: Path, *, jobs: int = 1) -> subprocess.Popen[bytes]:
    options = [str(cohort), "-o", str(output), "--size", "56", "--negatives", "3"]
    options += ["--jobs", str(jobs)]
    return subprocess.Popen([sys.executable, "-c", COMMAND, *options], stdout=subprocess.DEVNULL)


def content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_ends_with_the_same_bytes_as_a_run_that_was_not_killed(cohort, tmp_path):
    assert start(cohort, tmp_path / "whole").wait() == 0
    generator = np.random.default_rng(0)
    output = tmp_path / "killed"
    for kill in range(KILLS):
        # killed once some patients are there, at a random moment of the work on the next ones
        wanted = int(generator.integers(0, PATIENTS * (kill + 1) // KILLS + 1))
        process = start(cohort, output, jobs=1 + kill % 2)  # workers must not outlive a killed run
        while process.poll() is None and len(list(output.glob("patients/p*"))) < wanted:
            time.sleep(0.005)
        time.sleep(float(generator.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(cohort, output).wait() == 0
    assert content(output) == content(tmp_path / "whole")
