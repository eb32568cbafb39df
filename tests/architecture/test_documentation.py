# SPDX-License-Identifier: Apache-2.0
"""Documents say what the code does: error tree, exit codes, warnings, keys, names, files."""

import ast
import inspect
import json
import re
from pathlib import Path

import pytest

import aminet_runtime
from aminet_runtime import errors
from aminet_runtime.bundle import REQUIRED_FILES
from aminet_runtime.cli_options import EPILOG
from aminet_runtime.result import WarningCode

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SCHEMAS = Path(aminet_runtime.__file__).parent / "schemas"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the documents are not here")

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.AminetError)
}
LEAVES = {name: kind for name, kind in CLASSES.items() if not kind.__subclasses__()}


def drawn_tree():
    """Read the tree at the top of errors.py: (depth, name, exit code or None) a line."""
    pattern = re.compile(r"^ {4}([│ ├└─]*)(\w+)(?: +(\d+)| {2,}|$)", re.MULTILINE)
    return [
        (len(stem) // 4, name, int(code) if code else None)
        for stem, name, code in pattern.findall(errors.__doc__)
        if name in CLASSES
    ]


def test_drawn_error_tree_is_the_tree_of_classes():
    parents = []
    for depth, name, _code in drawn_tree():
        del parents[depth:]
        if parents:
            assert CLASSES[parents[-1]] in CLASSES[name].__bases__
        parents.append(name)

    assert {name for _, name, _ in drawn_tree()} == set(CLASSES)


def test_drawn_exit_codes_are_those_of_the_classes():
    drawn = {name: code for _, name, code in drawn_tree() if code is not None}

    assert drawn == {name: kind.exit_code for name, kind in LEAVES.items()}


def test_exit_codes_tell_the_classes_apart():
    codes = [kind.exit_code for kind in LEAVES.values()]

    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("name", LEAVES)
def test_result_page_explains_each_error(name):
    page = (DOCS / "result.md").read_text(encoding="utf-8")

    assert f"| {LEAVES[name].exit_code} | `{name}` |" in page


@pytest.mark.parametrize("code", list(WarningCode))
def test_result_page_explains_each_warning(code):
    assert f"| `{code}` |" in (DOCS / "result.md").read_text(encoding="utf-8")


def test_help_names_each_exit_code():
    shown = {int(number) for number in re.findall(r"\b(\d{1,3})\b", EPILOG.partition("exit")[2])}
    spans = set(range(10, 15)) | set(range(20, 23))

    gates = {23}  # raised by export and benchmarks, never by a run
    assert {kind.exit_code for kind in LEAVES.values()} <= shown | spans | gates


@pytest.mark.parametrize("page", ["bundle.md", "result.md"])
def test_pages_name_schemas_that_are_shipped(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:bundle|result|error|doctor)-1\b", text))

    assert named
    assert all((SCHEMAS / f"{name}.schema.json").exists() for name in named)


def keys_of(schema, prefix=""):
    for key, value in schema.get("properties", {}).items():
        yield key
        yield from keys_of(value, f"{prefix}{key}.")


@pytest.mark.parametrize(("page", "schema"), [("bundle.md", "bundle-1"), ("result.md", "result-1")])
def test_page_names_each_key_of_its_schema(page, schema):
    text = (DOCS / page).read_text(encoding="utf-8")
    content = json.loads((SCHEMAS / f"{schema}.schema.json").read_text(encoding="utf-8"))

    missing = [key for key in keys_of(content) if not re.search(rf"\b{re.escape(key)}\b", text)]

    assert not missing


FILES_THAT_MAY_BE = ("model.onnx", "model-int8.onnx", "calibration.json", "parity.json")


@pytest.mark.parametrize("name", [*REQUIRED_FILES, *FILES_THAT_MAY_BE, "SHA256SUMS"])
def test_bundle_page_names_each_file(name):
    page = (DOCS / "bundle.md").read_text(encoding="utf-8")
    obligation = "MAY" if name in FILES_THAT_MAY_BE else "MUST"

    row = next(line for line in page.splitlines() if line.startswith("|") and f"`{name}`" in line)
    assert f"| {obligation} |" in row


def case_numbers():
    """Find each `CASE_...` constant of the runtime, and who raises which class with it."""
    for path in sorted(Path(aminet_runtime.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in CLASSES:
                for keyword in call.keywords:
                    if keyword.arg == "case":
                        value = keyword.value
                        case = constants[value.id] if isinstance(value, ast.Name) else value.value
                        yield CLASSES[call.func.id].exit_code, case, path.name, call.lineno


def test_every_error_of_the_runtime_has_a_case_of_two_digits():
    cases = list(case_numbers())

    assert len(cases) > 60
    assert all(1 <= case <= 99 for _, case, _, _ in cases)


CODES_OF_TWO_MODULES = {
    (11, 2): "the file is cut: noticed within a slice, or behind the last one",
}


def test_a_code_means_one_thing():
    """Within a module one code may be raised twice, since it is a case and not a place."""
    homes = {}
    for exit_code, case, module, _ in case_numbers():
        homes.setdefault((exit_code, case), set()).add(module)

    shared = {code: sorted(where) for code, where in homes.items() if len(where) > 1}
    assert set(shared) == set(CODES_OF_TWO_MODULES), shared
