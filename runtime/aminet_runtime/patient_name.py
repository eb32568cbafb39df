# SPDX-License-Identifier: Apache-2.0
"""What a patient is called: by its folder, in tables, messages and places for results."""

import os
from pathlib import Path

from aminet_runtime.errors import InputMissing, printable
from aminet_runtime.portable_name import portable_name


def absolute_folder(patient: str | Path) -> Path:
    """Resolve `.` and `..`, so that the folder has a name, but keep the name of a link.

    Raises:
        InputMissing: The folder is relative to the current one, which was deleted.
    """
    try:
        return Path(os.path.abspath(patient))  # noqa: PTH100 - Path.resolve follows links
    except FileNotFoundError as cause:
        raise InputMissing(
            "the current folder is gone", case=14, path=patient, hint="change to another folder"
        ) from cause


def name_of(patient: Path) -> str:
    """Return a patient's name: that of the folder."""
    return patient.name or "unnamed"


def results_folder_name(patient: Path) -> str:
    """Return the name of the folder for a patient's results: the patient's, where all take it."""
    return portable_name(name_of(patient))


def display_name(patient: str | Path) -> str:
    """Return a patient's name for people, printable, even where the folder cannot be found."""
    try:
        folder = absolute_folder(patient)
    except InputMissing:
        folder = Path(patient)
    return printable(name_of(folder))
