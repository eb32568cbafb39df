# SPDX-License-Identifier: Apache-2.0
"""List the licences of all that AMI-Net depends on, and refuse what may not come along.

`make licences` writes docs/licences.md from what is installed, `make check-licences` only looks.
Both end with exit code 1 if a licence is not allowed. What users get with the runtime must be
permissive; tools for training and development may also be MPL, or NVIDIA's, which PyTorch brings
for GPUs, since nobody gets them from us.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
RUNTIME = "runtime"
GROUPS = (RUNTIME, "onnxruntime", "phantom", "train", "export", "tune", "benchmarks", "dev")
"""The wheel without extras, then its extras, each with what the ones before it do not bring."""

FOR_USERS = frozenset({RUNTIME, "onnxruntime"})
PERMISSIVE = frozenset(
    {
        *("0BSD", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-CMU", "Zlib"),
        *("Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSL-1.0", "CC0-1.0", "PSF-2.0"),
    }
)
FOR_TOOLS = PERMISSIVE | {"MPL-2.0", "LicenseRef-NVIDIA-Proprietary"}

SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "Other/Proprietary License": "LicenseRef-NVIDIA-Proprietary",
    "Python Software Foundation License": "PSF-2.0",
}
"""What packages without an SPDX expression call their licence; BSD where they do not say which."""

READ_BY_HAND = {"cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}
"""Packages whose metadata name no licence."""

HEAD = """\
# Licences of what AMI-Net depends on

Written by `make licences` from the metadata of what is installed. `make check-licences`, also in
CI, refuses what is not allowed. AMI-Net itself is Apache-2.0. Each list leaves out what one above
it has.
"""


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A package and the licence that it states, as an SPDX expression where it can be told."""

    name: str
    licence: str

    def is_allowed(self, allowed: frozenset[str]) -> bool:
        """Whether one way to read the licence asks for nothing but what is allowed."""
        ways = re.split(r" OR ", self.licence.strip("()"))
        return any(set(re.split(r" AND ", way)) <= allowed for way in ways)


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_check = parser.parse_args().check
    groups = installed_packages() | node_packages()
    if not is_check:
        PAGE.write_text(page(groups), encoding="utf-8")
    problems = [*refused(groups), *unlisted(groups)]
    print("\n".join(problems) or f"{sum(map(len, groups.values()))} packages, all allowed")
    return 1 if problems else 0


def installed_packages() -> dict[str, list[Package]]:
    """Find what each group needs, by what is installed here."""
    groups: dict[str, list[Package]] = {}
    known: set[str] = set()
    for group in GROUPS:
        found = {_normal(name) for name, _extra in _closure("aminet", {"", group})} - {"aminet"}
        groups[group] = [Package(name, licence_of(name)) for name in sorted(found - known)]
        known |= found
    return groups


def node_packages() -> dict[str, list[Package]]:
    """Find what the examples for JavaScript need, by their lock files."""
    groups = {}
    for lock in sorted(ROOT.glob("examples/*/package-lock.json")):
        packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
        groups[f"examples/{lock.parent.name}"] = sorted(
            Package(path.rpartition("node_modules/")[2], about.get("license", "not stated"))
            for path, about in packages.items()
            if path
        )
    return groups


def _closure(name: str, extras: set[str]) -> set[tuple[str, str]]:
    """Follow requirements: pairs of package and extra, from the first one on."""
    seen: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in extras]
    while waiting:
        pair = waiting.pop()
        if pair not in seen:
            seen.add(pair)
            waiting += _required_by(*pair)
    return seen


def _required_by(name: str, extra: str) -> Iterator[tuple[str, str]]:
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield from ((_normal(requirement.name), e) for e in ("", *requirement.extras))


def licence_of(name: str) -> str:
    """Return what a package says in its newest field; the older ones are free text."""
    classifiers = [value for value in _said(name, "Classifier") if value.startswith("License ::")]
    stated = (
        "".join(_said(name, "License-Expression"))
        or " AND ".join(value.rpartition(" :: ")[2] for value in classifiers)
        or "".join(_said(name, "License")).partition("\n")[0]
    )
    return READ_BY_HAND.get(name) or SPDX.get(stated, stated) or "not stated"


def _said(name: str, field: str) -> list[str]:
    return distribution(name).metadata.get_all(field) or []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def refused(groups: Mapping[str, list[Package]]) -> Iterator[str]:
    """Name each package whose licence is not allowed where it is."""
    for group, packages in groups.items():
        allowed = PERMISSIVE if group in FOR_USERS else FOR_TOOLS
        for package in packages:
            if not package.is_allowed(allowed):
                yield (
                    f"{group}: {package.name} is under {package.licence!r}, which is not allowed; "
                    "read its licence and do without it, or add it to release/licences.py"
                )


def unlisted(groups: Mapping[str, list[Package]]) -> Iterator[str]:
    """Name what users get and the page does not tell; tools may change between two writings."""
    listed = PAGE.read_text(encoding="utf-8")
    for group in sorted(FOR_USERS):
        for package in groups[group]:
            if f"| {package.name} | {package.licence} |" not in listed:
                yield f"{group}: {package.name} is not in docs/licences.md; run `make licences`"


def page(groups: Mapping[str, list[Package]]) -> str:
    """Return the page: a table for each group that brings something."""
    tables = [_table(group, packages) for group, packages in groups.items() if packages]
    return "\n".join([HEAD, *tables])


def _table(group: str, packages: list[Package]) -> str:
    title = "The wheel without extras" if group == RUNTIME else f"`{group}`"
    rows = "".join(f"| {package.name} | {package.licence} |\n" for package in packages)
    return f"## {title}\n\n| package | licence |\n|---|---|\n{rows}"


if __name__ == "__main__":
    sys.exit(main())
