# SPDX-License-Identifier: Apache-2.0
"""What hosts may rely on: a few names, importable at no cost, and no more."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aminet_runtime
from aminet_runtime import errors

PUBLIC = {
    "Budget",
    "Bundle",
    "Channel",
    "EngineName",
    "EnsembleSession",
    "PatientFolder",
    "PatientResult",
    "RegionFinding",
    "Session",
    "SliceScore",
    "__version__",
    "open_session",
}
ERRORS = {
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.AminetError)
}


def in_child(code):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return answer.stdout.strip()


def test_public_names_are_these_and_no_others():
    assert set(aminet_runtime.__all__) == PUBLIC | ERRORS
    assert sorted(aminet_runtime.__all__) == aminet_runtime.__all__


@pytest.mark.parametrize("name", aminet_runtime.__all__)
def test_public_name_can_be_imported_and_is_documented(name):
    value = getattr(aminet_runtime, name)

    if inspect.isclass(value):
        assert value.__module__.startswith("aminet_runtime.")
        assert inspect.getdoc(value)
        methods = [m for m in vars(value).values() if inspect.isfunction(m)]
        assert all(m.__doc__ for m in methods if not m.__name__.startswith("_"))


def test_type_checkers_see_the_same_names_as_the_interpreter():
    tree = ast.parse(Path(aminet_runtime.__file__).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    names = {
        alias.name
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert names == set(aminet_runtime.__all__) - {"__version__"}


def test_dir_lists_the_public_names():
    assert dir(aminet_runtime) == sorted(aminet_runtime.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Sesion'"):
        _ = aminet_runtime.Sesion


def test_star_import_gives_the_public_names():
    code = "from aminet_runtime import *; print(Session.__name__, InputMissing.__name__)"

    assert in_child(code) == "Session InputMissing"


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, aminet_runtime;"
        "print([m for m in ('numpy', 'openvino', 'isal', 'argparse') if m in sys.modules])"
    )

    assert in_child(code) == "[]"


def test_package_docstring_names_every_module():
    folder = Path(aminet_runtime.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in folder.glob("*/__init__.py")}

    named = set(re.findall(r"`(\w+)`", aminet_runtime.__doc__))

    assert modules <= named, "the docstring is the map of the package"


def test_example_of_the_package_docstring_is_python():
    example = re.findall(r"^    (.*)$", aminet_runtime.__doc__, flags=re.MULTILINE)

    ast.parse("\n".join(example))
