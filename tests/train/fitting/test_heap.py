# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys, torch
from aminet_train.fitting.heap import keep_freed_memory
told = sys.argv[1] == "keep" and keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(64):
    torch.ones(2**24)
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[bool, int]:
    """Return whether the library could be told, and how many pages 64 blocks of 64 MiB took."""
    command = [sys.executable, "-c", COUNT_FAULTS, how]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told, count = answer.split()
    return told == "1", int(count)


@pytest.mark.skipif(sys.platform == "win32", reason="no page faults are counted here")
def test_memory_that_was_freed_is_not_mapped_anew():
    told, kept = faults("keep")
    if not told:
        pytest.skip("this C library cannot be told")
    _, mapped = faults("plain")
    assert kept < mapped / 4
