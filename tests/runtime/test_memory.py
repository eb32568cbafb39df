# SPDX-License-Identifier: Apache-2.0
"""The memory of the process, as the system counts it, does not grow with patients or slices.

It notices what libraries in C keep, which tracemalloc does not. What only fragments their heap
needs more data than a test has: docs/experiments.md has a run of 50 full-size patients.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

MIB = 2**20
STORED_MIB = 48  # a leak of 2 % of what is read would be 1 MiB
ALLOWED_MIB = 0.75

READ = """
import json, sys
from aminet_runtime.process import rss_bytes
from aminet_runtime.volume import Volume

def read(threads):
    with Volume.open(sys.argv[1]) as volume:
        if threads > 1:
            volume.read_ahead()
        for _ in volume.slices():
            pass
    return rss_bytes()

print(json.dumps([read(int(sys.argv[2])) for _ in range(int(sys.argv[3]))]))
"""

RUN = """
import json, sys
from aminet_runtime import Session
from aminet_runtime.process import rss_bytes

with Session.open(sys.argv[1], threads=1) as session:
    used = [(session.run(sys.argv[2]), rss_bytes())[1] for _ in range(int(sys.argv[3]))]
print(json.dumps(used))
"""


def _rss_mib(program, *arguments):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    used = json.loads(done.stdout)
    if None in used:
        pytest.skip("this system does not tell the memory of a process")
    return [one / MIB for one in used]


def _head_of_noise():
    """Make slices that are air around noise, so that a chunk inflates to much or to little."""
    rng = np.random.default_rng(0)
    voxels = np.full((512, 512, 24), -1000, np.int16)
    for number in range(24):
        low, high = 250 - 10 * number, 262 + 10 * number
        voxels[low:high, low:high, number] = rng.integers(-20 * number, 500, (high - low,) * 2)
    return voxels


@pytest.mark.parametrize("threads", [1, 2])
def test_reading_leaves_the_memory_as_it_was(threads, nifti, tmp_path):
    path = nifti(voxels=_head_of_noise()).write(tmp_path / "CTA1.nii.gz")
    times = STORED_MIB * MIB // path.stat().st_size + 1
    _first, early, *_, late = _rss_mib(READ, path, threads, times)
    assert late - early < ALLOWED_MIB


def test_the_fiftieth_patient_takes_no_more_than_the_third(bundle_path, write_patient):
    used = _rss_mib(RUN, bundle_path, write_patient(), 50)
    assert used[49] - used[2] < ALLOWED_MIB
