# SPDX-License-Identifier: Apache-2.0
import pytest

from aminet_benchmarks.phantom.real.selection import select_trees
from aminet_runtime.errors import UsageError

TREES = [f"tree_{n:02d}" for n in range(41)]


def test_shares_are_disjoint_and_make_up_all():
    shares = [select_trees(TREES, name) for name in ("train", "validation", "test")]

    assert [len(share) for share in shares] == [25, 8, 8]
    assert sorted(tree for share in shares for tree in share) == list(select_trees(TREES, "all"))


def test_positions_choose_by_order():
    assert select_trees(TREES, "3:5") == ("tree_03", "tree_04")
    assert len(select_trees(TREES, "0:30")) == 30


@pytest.mark.parametrize(("wanted", "message"), [("some", "unknown"), ("50:60", "leaves none")])
def test_refuses_what_names_no_tree(wanted, message):
    with pytest.raises(UsageError, match=f"--trees {wanted}.*{message}"):
        select_trees(TREES, wanted)
