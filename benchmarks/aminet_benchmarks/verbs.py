# SPDX-License-Identifier: Apache-2.0
"""Verbs of a command: its first word chooses what it does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """What a first word may ask for.

    Attributes:
        summary: One line for the help.
        run: Takes the words behind the verb and returns the exit code.
    """

    summary: str
    run: Callable[[Sequence[str]], int]


def verbs_help(prog: str, verbs: Mapping[str, Verb], *, title: str) -> str:
    """Return a title and a line for each verb, the summaries below each other."""
    width = max(map(len, verbs)) + 1
    return "\n".join(
        [title, *(f"  {prog} {name:{width}s}{verb.summary}" for name, verb in verbs.items())]
    )
