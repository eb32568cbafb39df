# SPDX-License-Identifier: Apache-2.0
"""Results lie under names that every system takes; the catalogue of faults has a table of them."""

import ntpath
import re
from pathlib import PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aminet_runtime.portable_name import is_portable_plain_name, portable_name

TROUBLE = st.sampled_from('CONULPT1²$. :\\%0Ff"\n\udcff')
NAMES = st.text(TROUBLE | st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda name: not {"/", "\0"} & set(name)
)


def put_back(name):
    """Undo the escapes, as a reader would who knows nothing else."""

    def char(found):
        code = int(found[1], 16)
        return chr(code if code < 0x80 else 0xDC00 + code)

    return re.sub("%([0-9A-F]{2})", char, name)


def windows_refuses(name):
    """Ask Python: from 3.13 on it knows all rules, before that those of devices."""
    if hasattr(ntpath, "isreserved"):
        return ntpath.isreserved(name)
    return PureWindowsPath(name).is_reserved() or name[-1] in ". "


@given(NAMES)
@example("%4" + ":")
@example("%" + ":")
@example("%2.")
def test_name_can_be_read_back(name):
    assert put_back(portable_name(name)) == name


@given(NAMES)
@example("nul")
@example("AUX .x")
@example("COM¹.")
def test_windows_takes_the_name(name):
    taken = portable_name(name)

    assert not windows_refuses(taken)
    assert not re.search(r'[\x00-\x1f<>:"/\\|?*]', taken)
    taken.encode()


@pytest.mark.parametrize("name", ["model.xml", "SHA256SUMS", "1-mobilenetv2-int8", "con1", "a.nul"])
def test_plain_names_are_taken(name):
    assert is_portable_plain_name(name)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "a.", "nul", "Com9.bin", "ü", "x" * 101])
def test_other_names_are_not_plain(name):
    assert not is_portable_plain_name(name)
