# SPDX-License-Identifier: Apache-2.0
"""Gunzip by isal, and nothing done with the bytes: what no reader can beat.

Usage: python -m aminet_benchmarks.alternatives.gunzip_alone VOLUME...
"""

import json
import sys
import time

from isal import igzip

CHUNK_BYTES = 1 << 19  # a slice of 512 x 512 in int16


def main(*volume_paths: str) -> None:
    """Read volumes to their ends."""
    started = time.perf_counter()
    for path in volume_paths:
        with igzip.open(path, "rb") as stream:
            while stream.read(CHUNK_BYTES):
                pass
    print(json.dumps({"loop_s": time.perf_counter() - started}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
