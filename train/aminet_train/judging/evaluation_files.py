# SPDX-License-Identifier: Apache-2.0
"""The folder of an evaluation: report.json, report.md, plots, pictures of hits and mistakes."""

import json
import re
from pathlib import Path

import numpy as np

from aminet_runtime.publish import write_whole
from aminet_train.judging.answers import affected_regions
from aminet_train.judging.curves import PrecisionRecallCurve, ReliabilityBin, precision_recall_curve
from aminet_train.judging.evaluation import Evaluation, Judged
from aminet_train.judging.examples import examples_picture, some_hits, worst_mistakes
from aminet_train.judging.plots import precision_recall_plot, reliability_plot
from aminet_train.judging.report_tables import LEAKING, markdown_report
from aminet_train.levels import Level

REPORT_JSON = "report.json"
REPORT_MARKDOWN = "report.md"


def write_evaluation(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Write everything that an evaluation has to show; the JSON comes last.

    Returns:
        The files.
    """
    pictures = {"precision-recall.png": _precision_recall(evaluation)}
    reliability = _reliability(evaluation)
    if reliability is not None:
        pictures["reliability.png"] = reliability
    for one in evaluation.main:
        pictures |= _examples(one)
    for name, png in pictures.items():
        write_whole(folder / name, png)
    page = markdown_report(evaluation, list(pictures))
    write_whole(folder / REPORT_MARKDOWN, page.encode())
    values = json.dumps(evaluation.to_json(), indent=1) + "\n"
    write_whole(folder / REPORT_JSON, values.encode())
    return [folder / name for name in (*pictures, REPORT_MARKDOWN, REPORT_JSON)]


def _examples(one: Judged) -> dict[str, bytes]:
    """Draw what one model found and where it erred, where there are such cases and images."""
    label = one.candidate.label
    sorts = {
        "mistakes": (worst_mistakes(one), f"Worst of {label}"),
        "hits": (some_hits(one), f"Found by {label}"),
    }
    drawn = {
        f"{sort}-{file_name(label)}.png": examples_picture(
            one.candidate, examples, title=_title(title, one)
        )
        for sort, (examples, title) in sorts.items()
    }
    return {name: png for name, png in drawn.items() if png is not None}


def file_name(label: str) -> str:
    """Return a label as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", label)


def _precision_recall(evaluation: Evaluation) -> bytes:
    curves = {
        level: {one.candidate.label: _curve(one, level) for one in evaluation.main}
        for level in Level
    }
    points = {
        level: {
            one.candidate.label: (one.report[level]["recall"], one.report[level]["precision"])
            for one in evaluation.main
        }
        for level in Level
    }
    title = _title(f"Precision and recall, {evaluation.split} patients", *evaluation.main)
    return precision_recall_plot(curves, points, title=title)


def _curve(one: Judged, level: Level) -> PrecisionRecallCurve:
    truth = [patient.labels_here.astype(bool) for patient in one.patients]
    if level is Level.SLICE:
        scores = np.concatenate([answer.slice_scores for answer in one.ordered()])
        return precision_recall_curve(scores, np.concatenate(truth))
    scores = np.stack([answer.region_scores for answer in one.ordered()])
    return precision_recall_curve(
        scores, np.stack([affected_regions(patient) for patient in truth])
    )


def _reliability(evaluation: Evaluation) -> bytes | None:
    scored = [one for one in evaluation.main if "reliability" in one.report]
    if not scored:
        return None
    bins = {
        level: {
            one.candidate.label: [
                ReliabilityBin(**values) for values in one.report["reliability"][level]["bins"]
            ]
            for one in scored
        }
        for level in Level
    }
    return reliability_plot(bins, title=_title("Reliability of the scores", *scored))


def _title(text: str, *judged: Judged) -> str:
    return f"{text}\n{LEAKING}" if any(one.report["leaking"] for one in judged) else text
