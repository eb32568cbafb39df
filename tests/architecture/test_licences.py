# SPDX-License-Identifier: Apache-2.0
"""What `make check-licences` lets through."""

import importlib.util
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "release" / "licences.py"


@pytest.fixture(scope="module")
def licences():
    spec = importlib.util.spec_from_file_location("licences", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("licence", "is_allowed"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND Zlib", True),
        ("(MIT OR GPL-3.0-only)", True),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception", True),
        ("MIT AND GPL-3.0-only", False),
        ("MPL-2.0", False),
        ("not stated", False),
        ("", False),
    ],
)
def test_users_get_permissive_licences_only(licences, licence, is_allowed):
    package = licences.Package("package", licence)

    assert package.is_allowed(licences.PERMISSIVE) is is_allowed
    assert (not list(licences.refused({"runtime": [package]}))) is is_allowed


def test_tools_may_be_under_mpl(licences):
    package = licences.Package("hypothesis", "MPL-2.0")

    assert list(licences.refused({"dev": [package]})) == []
    assert "hypothesis is under 'MPL-2.0'" in next(licences.refused({"runtime": [package]}))


def test_page_lists_the_packages_of_the_runtime(licences):
    page = licences.PAGE.read_text(encoding="utf-8")

    for name in ("isal", "numpy", "openvino"):
        assert f"| {name} | {licences.licence_of(name)} |" in page
