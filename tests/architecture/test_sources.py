# SPDX-License-Identifier: Apache-2.0
"""House rules that no linter knows: licence lines, sizes of modules and functions, layers."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("runtime", "train", "export", "benchmarks")
SPDX = "# SPDX-License-Identifier: Apache-2.0"
UNPICKLING = re.compile(r"^\s*(import|from) (pickle|marshal|shelve|joblib|dill)\b", re.MULTILINE)
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def sources(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def label(path):
    return path.relative_to(ROOT).as_posix()


ALL = sources(*PACKAGES, "release", "tests")
SHIPPED = sources(*PACKAGES)

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="the sources are not here"
)


@pytest.mark.parametrize("path", ALL, ids=label)
def test_file_starts_with_its_licence(path):
    assert path.read_text(encoding="utf-8").splitlines()[:1] == [SPDX]


@pytest.mark.parametrize("path", SHIPPED, ids=label)
def test_module_is_short_enough_to_hold_one_idea(path):
    lines = path.read_text(encoding="utf-8").splitlines()

    assert len(lines) <= LONGEST_MODULE, f"{len(lines)} lines: split it"


@pytest.mark.parametrize("path", SHIPPED, ids=label)
def test_functions_are_below_the_wall(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    long = {n.name: length(n) for n in functions if length(n) > LONGEST_FUNCTION}

    assert not long, "split these"


def length(function):
    """Count a function's lines without its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", SHIPPED, ids=label)
def test_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", SHIPPED, ids=label)
def test_no_pickle_and_no_file_of_pickles(path):
    text = path.read_text(encoding="utf-8")

    assert not re.search(
        r"^\s*(import|from) (pickle|marshal|shelve|joblib|dill)\b", text, re.MULTILINE
    )
    assert "allow_pickle=True" not in text


@pytest.mark.parametrize("package", PACKAGES)
def test_package_ships_its_types(package):
    (folder,) = (ROOT / package).glob("aminet_*")

    assert (folder / "py.typed").exists()


def test_version_is_stated_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "version" in project["dynamic"]
