# SPDX-License-Identifier: Apache-2.0
"""Where training left what is to be exported: the newest finished run of an approach."""

from pathlib import Path

from aminet_runtime.errors import InputMissing, ModelError, UsageError
from aminet_train.checkpoint import ABOUT_FILE, load_info
from aminet_train.run_folder import RunFolder
from aminet_train.spiral import data_of_spiral_run

CASE_NO_RUN = 20
CASE_NO_DATA = 21


def newest_run(approach: str, runs: Path) -> Path:
    """Return the checkpoint of that run of an approach which finished last.

    Args:
        approach: Such as `mobilenetv2`.
        runs: Folder of run folders.

    Raises:
        InputMissing: There is none.
    """
    folders = [RunFolder(path) for path in runs.iterdir()] if runs.is_dir() else []
    finished = [run.checkpoint for run in folders if _approach_of(run) == approach]
    if not finished:
        raise InputMissing(
            f"there is no finished run of {approach} below {runs}/",
            case=CASE_NO_RUN,
            hint=f"train one with aminet-train --model {approach} --data PREPARED, or name "
            "--checkpoint FOLDER --data PREPARED",
        )
    return max(finished, key=lambda folder: (folder / ABOUT_FILE).stat().st_mtime)


def data_of(checkpoint: Path) -> tuple[Path, ...]:
    """Return the prepared cohorts that the run of a checkpoint names.

    Raises:
        InputMissing: The run does not say, or a cohort is not where it was.
    """
    folders = _named_by_run(RunFolder(checkpoint.parent)) or data_of_spiral_run(checkpoint.parent)
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing or not folders:
        what = f"{missing[0].name} is not where it was" if missing else "the run names no data"
        raise InputMissing(
            f"the prepared data of the run is not known: {what}",
            case=CASE_NO_DATA,
            path=checkpoint.parent,
            hint="name it with --data PREPARED",
        )
    return folders


def _approach_of(run: RunFolder) -> str | None:
    if not run.has_ended:
        return None
    try:
        return load_info(run.checkpoint).approach.value
    except ModelError:  # of another version
        return None


def _named_by_run(run: RunFolder) -> tuple[Path, ...]:
    try:
        return run.read_config().data
    except (
        InputMissing,
        UsageError,
    ):  # a checkpoint that left its run, or a run of another version
        return ()
