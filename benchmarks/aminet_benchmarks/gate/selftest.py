# SPDX-License-Identifier: Apache-2.0
"""A program: run a bundle's known answers in this process, and print the largest difference.

Usage: python -m aminet_benchmarks.gate.selftest BUNDLE
"""

import json
import sys

from aminet_runtime.selftest import largest_difference, read_selftest
from aminet_runtime.session import Session


def main(bundle_dir: str) -> None:
    """Score the self-test as the runtime does."""
    with Session.open(bundle_dir, threads=1) as session:
        difference = largest_difference(
            read_selftest(session.bundle), lambda planes: session.answer(planes).probabilities
        )
    print(json.dumps({"largest_difference": difference}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
