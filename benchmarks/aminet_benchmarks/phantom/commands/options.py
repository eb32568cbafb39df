# SPDX-License-Identifier: Apache-2.0
"""What several verbs ask for: how many patients, from which seed, drawn from what."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aminet_benchmarks.phantom.config import PhantomConfig, preset_config
from aminet_benchmarks.phantom.real.selection import ALL_TREES, TREES_HELP
from aminet_runtime.errors import UsageError
from aminet_runtime.threads import available_threads

if TYPE_CHECKING:
    from aminet_benchmarks.phantom.real.heads import AnatomyRequest


def add_cohort_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes a cohort: its folder, size, seed, and what its patients are drawn from."""
    parser.add_argument("folder", type=Path, metavar="OUT", help="folder for the cohort")
    parser.add_argument("--patients", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")
    add_jobs_option(parser)
    add_config_options(parser)
    add_anatomy_options(parser)


def add_jobs_option(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    parser.add_argument(
        "--jobs",
        type=int,
        default=available_threads(),
        metavar="P",
        help="processes; default one a core that it may use, here %(default)s",
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add what patients are drawn from."""
    parser.add_argument(
        "--shape",
        type=int,
        nargs=3,
        metavar=("I", "J", "K"),
        help="columns, rows, slices; default 512 512 and what the preset says: "
        "report 257, hard 200 to 260",
    )
    add_preset_option(parser)


def add_picture_options(parser: argparse.ArgumentParser, *, seeds: Sequence[int]) -> None:
    """Add where a picture goes and of which patients it is."""
    parser.add_argument("picture", type=Path, metavar="PNG", help="file for the picture")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=list(seeds),
        metavar="S",
        help="seeds of the patients; default " + " ".join(map(str, seeds)),
    )
    add_config_options(parser)


def seeds_of(options: argparse.Namespace) -> list[int]:
    """Return the seeds of `add_picture_options`.

    Raises:
        UsageError: One is below 0.
    """
    seeds: list[int] = options.seeds
    if min(seeds) < 0:
        raise UsageError(f"--seeds {min(seeds)} is below 0")
    return seeds


def add_anatomy_options(parser: argparse.ArgumentParser) -> None:
    """Add where the heads come from."""
    parser.add_argument(
        "--anatomy",
        type=Path,
        metavar="DIR",
        help="draw the heads from real anatomy, see aminet-phantom fetch-anatomy; "
        "by default they are grown",
    )
    parser.add_argument("--trees", metavar="WHICH", help=f"with --anatomy: {TREES_HELP}")


def anatomy_request(options: argparse.Namespace) -> "AnatomyRequest | None":
    """Return the real anatomy that `add_anatomy_options` asked for, if there is any.

    Raises:
        UsageError: Trees were chosen without any anatomy.
    """
    from aminet_benchmarks.phantom.real.heads import AnatomyRequest

    if options.anatomy is None:
        if options.trees is not None:
            raise UsageError("--trees needs --anatomy", hint="say where the trees are")
        return None
    return AnatomyRequest(options.anatomy, options.trees or ALL_TREES)


def add_preset_option(parser: argparse.ArgumentParser) -> None:
    """Add the choice of a preset."""
    parser.add_argument("--preset", default="report", metavar="NAME", help="report or hard")


def config_of(options: argparse.Namespace) -> PhantomConfig:
    """Return the configuration that `add_config_options` asked for."""
    return preset_config(options.preset, shape=tuple(options.shape) if options.shape else None)
