# SPDX-License-Identifier: Apache-2.0
"""Which patient folders a cohort holds."""

from pathlib import Path

from aminet_runtime.errors import InputMissing
from aminet_runtime.regions import REGIONS_FILE, Regions, load_regions


def patient_folders(cohort: Path) -> list[Path]:
    """List the patient folders of a cohort by name; hidden folders are no patients.

    Raises:
        InputMissing: The cohort is not a folder, or holds no folder.
    """
    if not cohort.is_dir():
        raise InputMissing("the cohort is not a folder", path=cohort, hint="name a folder")
    folders = sorted(
        entry for entry in cohort.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    if not folders:
        raise InputMissing(
            "the cohort holds no patient folders", path=cohort, hint="make one with aminet-phantom"
        )
    return folders


def cohort_regions(cohort: Path) -> Regions:
    """Read the region names beside the cohort, or number the regions where there are none."""
    path = cohort / REGIONS_FILE
    return load_regions(path) if path.exists() else Regions.numbered()
