# SPDX-License-Identifier: Apache-2.0
"""What a patient is called: by its folder, in tables, messages and places for results."""

import os
from pathlib import Path

from aminet_runtime.errors import printable
from aminet_runtime.portable_name import portable_name


def absolute_folder(patient: str | Path) -> Path:
    """Return the folder as `PatientFolder` names it: absolute, links not followed."""
    return Path(os.path.abspath(patient))  # noqa: PTH100 - resolves `..`, keeps a link's name


def name_of(patient: Path) -> str:
    """Return a patient's name: that of the folder."""
    return patient.name or "unnamed"


def results_folder_name(patient: Path) -> str:
    """Return the name of the folder for a patient's results: the patient's, where all take it."""
    return portable_name(name_of(patient))


def display_name(patient: str | Path) -> str:
    """Return a patient's name for people, printable."""
    return printable(name_of(absolute_folder(patient)))
