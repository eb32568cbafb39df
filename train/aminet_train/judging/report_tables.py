# SPDX-License-Identifier: Apache-2.0
"""The tables of an evaluation, as text for a terminal and as Markdown for a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aminet_runtime.text_table import align
from aminet_train.judging.evaluation import MAIN_COHORT, Evaluation, Judged
from aminet_train.levels import Level

LEAKING = "leaking: slices of one patient on both sides"
ZERO_NOTE = "0/0 counts as 0. Intervals: 95 % bootstrap over patients."


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Attributes:
        title: Of one line.
        header: Names of the columns; the first ones hold texts, the others figures.
        rows: Cells, as many as the header has.
        texts: How many columns at the left hold texts.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1

    def to_text(self) -> str:
        """Return lines for a terminal."""
        right = frozenset(range(self.texts, len(self.header)))
        return "\n".join([self.title, *align([self.header, *self.rows], right=right)])

    def to_markdown(self) -> str:
        """Return a section of Markdown."""
        rule = ["---"] * self.texts + ["--:"] * (len(self.header) - self.texts)
        lines = [f"| {' | '.join(cells)} |" for cells in (self.header, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines])


def main_table(evaluation: Evaluation) -> Table:
    """Return both levels of every model, as in the report's table of results."""
    named = any(one.cohort != MAIN_COHORT for one in evaluation.judged)
    columns = ["model", "approach", *(["patients of"] if named else []), "level"]
    figures = "precision", "recall", "F1", "accuracy", "AP", "TP", "FP", "FN", "TN", "exact"
    rows = [
        [
            one.candidate.label,
            one.candidate.approach,
            *([one.cohort] if named else []),
            level,
            *_figures(one.report[level]),
        ]
        for one in evaluation.judged
        for level in Level
    ]
    patients = evaluation.main[0].report["patients"]
    title = _titled(f"Results on {patients} {evaluation.split} patients", evaluation.leaking)
    return Table(title, [*columns, *figures], rows, texts=len(columns))


def all_tables(evaluation: Evaluation) -> Iterator[Table]:
    """Yield every table: results, differences, twins, regions, the SPIRAL sweep."""
    yield main_table(evaluation)
    if evaluation.comparisons:
        yield _difference_table(evaluation)
    with_twins = [one for one in evaluation.main if "twins" in one.report]
    if with_twins:
        yield _twin_table(with_twins)
    for one in evaluation.judged:
        yield _region_table(one)
    for one in evaluation.main:
        if "sweep_on_train" in one.report:
            yield _sweep_table(one)


def remarks(evaluation: Evaluation) -> list[str]:
    """Return what has to be said about the figures."""
    notes = [ZERO_NOTE]
    if evaluation.leaking:
        notes.append(f"{LEAKING}. These figures say nothing about new patients.")
    for one in evaluation.judged:
        seen = one.report["seen_in_training"]
        if seen and not one.report["leaking"]:
            notes.append(
                f"{one.candidate.label} learned from {seen} of these patients: "
                "its figures say nothing about new ones."
            )
        if one.candidate.rule is None:
            notes.append(
                f"{one.candidate.label} decides by majority vote; its AP ranks pairs by votes, "
                "then by the mean score."
            )
    return list(dict.fromkeys(notes))


def text_report(evaluation: Evaluation) -> str:
    """Return the tables that fit a terminal, and the remarks."""
    tables = [table for table in all_tables(evaluation) if not table.title.startswith("Regions")]
    return "\n\n".join([*(table.to_text() for table in tables), "\n".join(remarks(evaluation))])


def markdown_report(evaluation: Evaluation, pictures: Sequence[str] = ()) -> str:
    """Return all tables, the pictures and the remarks as Markdown."""
    title = "# Evaluation" + (f" ({LEAKING})" if evaluation.leaking else "")
    parts = [title, "\n".join(f"- {note}" for note in remarks(evaluation))]
    parts += [table.to_markdown() for table in all_tables(evaluation)]
    parts += [f"![{name}]({name})" for name in pictures]
    return "\n\n".join(parts) + "\n"


def _figures(values: dict[str, Any]) -> list[str]:
    return [
        *(_with_interval(values, name) for name in ("precision", "recall", "f1")),
        f"{values['accuracy']:.4f}",
        f"{values['average_precision']:.3f}",
        *(str(values[name]) for name in ("tp", "fp", "fn", "tn")),
        f"{values['exact']:.0%}" if "exact" in values else "",
    ]


def _with_interval(values: dict[str, Any], name: str) -> str:
    low, high = values[f"{name}_ci95"]
    return f"{values[name]:.3f} ({low:.3f} to {high:.3f})"


def _difference_table(evaluation: Evaluation) -> Table:
    rows = []
    for comparison in evaluation.comparisons:
        for level in Level:
            names = [comparison["first"], comparison["second"], level]
            values = comparison[level]
            if values is None:
                rows.append([*names, "other patients", ""])
            else:
                low, high = values["ci95"]
                difference = f"{values['f1_difference']:+.3f} ({low:+.3f} to {high:+.3f})"
                decided = "yes" if low > 0 or high < 0 else "no"
                rows.append([*names, difference, decided])
    title = _titled("F1 of the first minus F1 of the second", evaluation.leaking)
    return Table(title, ["first", "second", "level", "difference", "clear of 0"], rows, texts=3)


def _twin_table(judged: Sequence[Judged]) -> Table:
    rows = [
        [
            one.candidate.label,
            level,
            str(values["flags"]),
            str(values["twin_flags"]),
            f"{values['true_flags_that_vanish']:.1%} of {values['true_flags']}",
            f"{values['flags_that_stay']:.1%}",
        ]
        for one in judged
        for level in Level
        for values in [one.report["twins"][level]]
    ]
    header = ["model", "level", "flags", "on twins", "true flags that vanish", "flags that stay"]
    pairs = judged[0].report["twins"]["patients"]
    return Table(f"The same {pairs} heads without their clots", header, rows, texts=2)


def _region_table(one: Judged) -> Table:
    header = ["region", "name", "TP", "FP", "FN", "TN", "precision", "recall", "F1", "slice F1"]
    rows = [
        [
            str(region["index"]),
            region["name"],
            *(str(region[name]) for name in ("tp", "fp", "fn", "tn")),
            *(f"{region[name]:.3f}" for name in ("precision", "recall", "f1")),
            f"{region['slice']['f1']:.3f}",
        ]
        for region in one.report["per_region"]
    ]
    where = "" if one.cohort == MAIN_COHORT else f", {one.cohort}"
    title = f"Regions, patient level: {one.candidate.label}{where}"
    return Table(_titled(title, one.report["leaking"]), header, rows, texts=2)


def _sweep_table(one: Judged) -> Table:
    rows = [
        [
            f"{row['threshold']:g}",
            *(f"{row[name]:.4f}" for name in ("precision", "recall", "accuracy", "f1")),
        ]
        for row in one.report["sweep_on_train"]
    ]
    title = f"SPIRAL above t on training patients, patient level: {one.candidate.label}"
    header = ["t", "precision", "recall", "accuracy", "F1"]
    return Table(_titled(title, one.report["leaking"]), header, rows, texts=0)


def _titled(title: str, leaking: object) -> str:
    return f"{title} ({LEAKING})" if leaking else title
