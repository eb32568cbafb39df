# SPDX-License-Identifier: Apache-2.0
"""Where training left what is to be exported: the newest finished run of an approach."""

from pathlib import Path

from aminet_runtime.errors import InputMissing, ModelError, UsageError
from aminet_train.checkpoint import ABOUT_FILE, load_info
from aminet_train.ensemble import ENSEMBLE_FILE, Member, is_ensemble, load_ensemble
from aminet_train.fitting.run_folder import RunFolder
from aminet_train.plain_run import data_of_plain_run

ENSEMBLE = "ensemble"

CASE_NO_RUN = 20
CASE_NO_DATA = 21


def newest_run(approach: str, runs: Path) -> Path:
    """Return the checkpoint of that run of an approach which finished last.

    Args:
        approach: Such as `mobilenetv2`; `ensemble` for the ensemble that was put together last.
        runs: Folder of run folders.

    Raises:
        InputMissing: There is none.
    """
    folders = list(runs.iterdir()) if runs.is_dir() else []
    if approach == ENSEMBLE:
        about = [folder / ENSEMBLE_FILE for folder in folders if is_ensemble(folder)]
    else:
        about = [
            RunFolder(folder).checkpoint / ABOUT_FILE
            for folder in folders
            if _approach_of(RunFolder(folder)) == approach
        ]
    if not about:
        made_of = "--members A B C" if approach == ENSEMBLE else "--data PREPARED"
        raise InputMissing(
            f"there is no finished run of {approach} below {runs}/",
            case=CASE_NO_RUN,
            hint=f"train one with aminet-train --model {approach} {made_of}, or name "
            "--checkpoint FOLDER --data PREPARED",
        )
    return max(about, key=lambda path: path.stat().st_mtime).parent


def data_of(checkpoint: Path) -> tuple[Path, ...]:
    """Return the prepared cohorts that the run of a checkpoint names.

    Raises:
        InputMissing: The run does not say, or a cohort is not where it was.
    """
    folders = _named_by_run(RunFolder(checkpoint.parent)) or data_of_plain_run(checkpoint.parent)
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


def data_of_members(ensemble: Path, runs: Path) -> tuple[Path, ...]:
    """Return the prepared cohorts of the runs that the members of an ensemble come from.

    A member keeps the name of its run, which is looked for below `runs`.

    Raises:
        InputMissing: A member's run is not there any more, or does not say.
    """
    found: dict[Path, None] = {}
    for member in load_ensemble(ensemble).members:
        run = RunFolder(runs / member.name.partition("-")[2])
        about = run.checkpoint / ABOUT_FILE
        if not about.is_file() or about.read_bytes() != _about_of(member):
            raise InputMissing(
                f"the run that {member.name} comes from is not below {runs}/, so its data are not "
                "known",
                case=CASE_NO_DATA,
                path=ensemble,
                hint="name the data of all members with --data PREPARED PREPARED ...",
            )
        found |= dict.fromkeys(data_of(run.checkpoint))
    return tuple(found)


def _about_of(member: Member) -> bytes | None:
    path = member.folder / ABOUT_FILE
    return path.read_bytes() if path.is_file() else None


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
