# SPDX-License-Identifier: Apache-2.0
"""Which of the trees a cohort uses, so that tests run on trees that training never saw."""

import re
from collections.abc import Sequence
from typing import TypeVar

from aminet_runtime.errors import UsageError

_Tree = TypeVar("_Tree")

ALL_TREES = "all"
SHARES = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}  # of the positions modulo 5
SHARE_PERIOD = 5
TREES_HELP = (
    "all, one of the disjoint shares train, validation and test (3, 1 and 1 of each five trees), "
    "or positions such as 0:30"
)


def select_trees(trees: Sequence[_Tree], trees_wanted: str) -> tuple[_Tree, ...]:
    """Return the trees that are wanted.

    Args:
        trees: All trees, in the order of their names.
        trees_wanted: `all`, the name of a share, or `START:STOP`.

    Raises:
        UsageError: It is none of these, or leaves no tree.
    """
    positions = range(len(trees))
    span = re.fullmatch(r"(\d{1,6}):(\d{1,6})", trees_wanted)
    if span:
        chosen = list(positions[int(span[1]) : int(span[2])])
    elif trees_wanted in SHARES:
        chosen = [n for n in positions if n % SHARE_PERIOD in SHARES[trees_wanted]]
    elif trees_wanted == ALL_TREES:
        chosen = list(positions)
    else:
        raise UsageError(f"--trees {trees_wanted} is unknown", hint=f"give {TREES_HELP}")
    if not chosen:
        raise UsageError(
            f"--trees {trees_wanted} leaves none of the {len(trees)} trees",
            hint=f"give {TREES_HELP}",
        )
    return tuple(trees[n] for n in chosen)
