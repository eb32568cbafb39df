# SPDX-License-Identifier: Apache-2.0
"""Columns of text for a terminal, aligned also where letters are two cells wide or none."""

import unicodedata
from collections.abc import Iterator, Sequence

GAP = "  "
ELLIPSIS = "..."


def align(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Yield each row as a line whose columns stand below each other.

    Args:
        rows: Cells of one line each, equally many in every row.
        right: Columns that are aligned to the right.
    """
    widths = [max(width_of(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            _padded(cell, widths[column], is_right=column in right)
            for column, cell in enumerate(row)
        )
        yield GAP.join(cells).rstrip()


def cut(text: str, width: int) -> str:
    """Shorten a text to a number of cells, and show that something is missing."""
    if width_of(text) <= width:
        return text
    kept = text
    while width_of(kept) > width - len(ELLIPSIS):
        kept = kept[:-1]
    return kept + ELLIPSIS


def width_of(text: str) -> int:
    """Return how many cells a text takes: wide letters take two, combining marks none."""
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _padded(cell: str, width: int, *, is_right: bool) -> str:
    padding = " " * (width - width_of(cell))
    return padding + cell if is_right else cell + padding
