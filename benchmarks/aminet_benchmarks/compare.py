# SPDX-License-Identifier: Apache-2.0
"""`aminet-run` beside other ways to score the same scan: time, memory, and the answers."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.floor import Floor, measure_floor
from aminet_benchmarks.machine import describe_machine, isa_environment
from aminet_benchmarks.measure import Runs, run_interleaved
from aminet_benchmarks.twins import Twins, make_twins
from aminet_benchmarks.ways import LABELS, Task, Way, command_of, require_plain
from aminet_runtime.decision import find_regions
from aminet_runtime.regions import REGION_COUNT

OnProgress = Callable[[int, int], None]
FLOOR_ROUNDS = 3
"""It is the fastest that was reached, which more rounds hardly lower."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be compared, and how.

    Attributes:
        ways: Which ways.
        rounds: Counted rounds.
        cores: Processors that the runs may use.
        isa: Instruction set to play, `native` for what the machine has.
        checkpoint: What the bundle was exported from, if it is at hand.
    """

    ways: tuple[Way, ...] = tuple(Way)
    rounds: int = 5
    cores: tuple[int, ...] = (0,)
    isa: str = "native"
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a way said, against `aminet-run`.

    Attributes:
        decisions_changed: Regions of 15 that are flagged by one of the two only.
        largest_difference: Of the highest probability of any region.
    """

    decisions_changed: int
    largest_difference: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians of interleaved runs of one patient on the same cores.

    Attributes:
        bundle: Its name, or the name that `tell_apart` gave it.
        isa: Instruction set that was played.
        runs: By way.
        answers: By way; None where the way ran an untrained network.
        absent: Ways for which there is no network, and why.
        floor: What nothing can beat.
        machine: Where it was measured.
    """

    bundle: str
    isa: str
    runs: Mapping[Way, Runs]
    answers: Mapping[Way, Answers | None]
    absent: Mapping[Way, str]
    floor: Floor
    machine: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values with every single run."""
        ways = {way.value: found.to_json() for way, found in self.runs.items()}
        for way, answers in self.answers.items():
            ways[way.value]["answers"] = answers and {
                "decisions_changed": answers.decisions_changed,
                "largest_difference": answers.largest_difference,
            }
        return {
            "bundle": self.bundle,
            "isa": self.isa,
            "ways": ways,
            "absent": {way.value: why for way, why in self.absent.items()},
            "floor": self.floor.to_json(),
            "machine": dict(self.machine),
        }


def compare_ways(
    patient_dir: Path,
    bundle_dir: Path,
    request: Request,
    *,
    machine: Mapping[str, object] | None = None,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Comparison:
    """Run each way in turn, cold, on the same cores.

    Args:
        patient_dir: Patient folder.
        bundle_dir: Bundle of single CT slices; any number of channels.
        request: Which ways, how often, where.
        machine: As `describe_machine` told before the first run; by default it is asked now.
        on_progress: Called with runs done and runs in all.

    Raises:
        InputUnsupported: The alternatives cannot read this patient or this bundle.
        GateFailed: One of the ways ended with an error.
    """
    machine = machine or describe_machine(cores=request.cores)
    task = Task.of(patient_dir, bundle_dir)
    require_plain(task)
    environment = isa_environment(request.isa)
    with tempfile.TemporaryDirectory(prefix="aminet-compare-") as scratch:
        twins = _twins(task, request, Path(scratch))
        commands = {
            way: command_of(way, task, twins, threads=len(request.cores)) for way in request.ways
        }
        found = run_interleaved(
            {way.value: command for way, command in commands.items() if command is not None},
            rounds=request.rounds,
            cores=request.cores,
            environment=environment,
            on_progress=on_progress,
        )
    rounds = min(request.rounds, FLOOR_ROUNDS)
    floor = measure_floor(task, rounds=rounds, cores=request.cores, environment=environment)
    runs = {Way(one.name): one for one in found}
    return Comparison(
        bundle=task.bundle.name,
        isa=request.isa,
        runs=runs,
        answers=_compare_answers(task, runs, twins),
        absent={
            way: "the bundle holds no such network"
            for way, command in commands.items()
            if command is None
        },
        floor=floor,
        machine=machine,
    )


def tell_apart(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Number bundles of one name, such as two builds of a network: `name`, `name~2`.

    Args:
        comparisons: Those of one instruction set in the order of the bundles. No bundle has a
            tilde in its own name.
    """
    times: Counter[tuple[str, str]] = Counter()
    apart = []
    for one in comparisons:
        times[one.bundle, one.isa] += 1
        number = times[one.bundle, one.isa]
        apart.append(one if number == 1 else replace(one, bundle=f"{one.bundle}~{number}"))
    return apart


def scores_of(output: str) -> NDArray[np.float32]:
    """Read the probabilities [Z, 15] that a way printed."""
    slices = json.loads(output)["slices"]
    values = slices["probabilities"] if isinstance(slices, dict) else slices
    return np.array(values, np.float32)


def summary_table(comparisons: Sequence[Comparison]) -> str:
    """Return a Markdown table, a row a bundle and instruction set, for a first look."""
    columns = (
        "bundle",
        "instruction set",
        "wall, s",
        "peak RSS, MiB",
        "script, s",
        "report's way, s",
        "against the report",
        "floor, s",
        "against the floor",
        "decisions changed",
    )
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for one in comparisons:
        ours, floor_s = one.runs[Way.OURS], one.floor.wall_s
        lines.append(
            f"| {one.bundle} | {one.isa} | {ours.wall_s:.2f} | {ours.peak_rss_mib:.0f} "
            f"| {_wall_cell(one, Way.SCRIPT)} | {_wall_cell(one, Way.REPORT)} "
            f"| {_speedup_cell(one, Way.REPORT)} | {floor_s:.2f} | {ours.wall_s / floor_s:.2f} x "
            f"| {_changed_cell(one)} |"
        )
    return "\n".join(lines)


def comparison_table(comparison: Comparison) -> str:
    """Return a Markdown table with ratios to our own command, and the floor below it."""
    ours = comparison.runs[Way.OURS]
    lines = [
        "| way | wall, s | against ours | peak RSS, MiB | against ours | decisions changed |",
        "|---|---|---|---|---|---|",
    ]
    for way, runs in comparison.runs.items():
        lines.append(
            f"| {LABELS[way]} | {runs.wall_s:.2f} | {runs.wall_s / ours.wall_s:.2f} x "
            f"| {runs.peak_rss_mib:.0f} | {runs.peak_rss_mib / ours.peak_rss_mib:.2f} x "
            f"| {_answer_cell(way, comparison)} |"
        )
    lines += [f"| {LABELS[way]} | {why} | | | | |" for way, why in comparison.absent.items()]
    floor = comparison.floor
    lines.append(
        f"| floor: gunzip {floor.gunzip_s:.2f} s + {floor.slices} x {floor.latency_ms:.2f} ms "
        f"| {floor.wall_s:.2f} | {floor.wall_s / ours.wall_s:.2f} x | | | |"
    )
    return "\n".join(lines)


def _wall_cell(comparison: Comparison, way: Way) -> str:
    return f"{comparison.runs[way].wall_s:.2f}" if way in comparison.runs else ""


def _speedup_cell(comparison: Comparison, way: Way) -> str:
    if way not in comparison.runs:
        return ""
    return f"{comparison.runs[way].wall_s / comparison.runs[Way.OURS].wall_s:.1f} x faster"


def _changed_cell(comparison: Comparison) -> str:
    """Say how many decisions the ways that run the same weights change, at most."""
    changed = [
        answers.decisions_changed
        for way, answers in comparison.answers.items()
        if way is not Way.OURS and answers is not None
    ]
    return f"{max(changed)} of {REGION_COUNT}" if changed else "not compared"


def _answer_cell(way: Way, comparison: Comparison) -> str:
    if way is Way.OURS:
        return ""
    answers = comparison.answers[way]
    if answers is None:
        return "untrained, not compared"
    return f"{answers.decisions_changed} of {REGION_COUNT} ({answers.largest_difference:.2g})"


def _twins(task: Task, request: Request, scratch: Path) -> Twins | None:
    if set(request.ways) <= {Way.OURS, Way.SCRIPT}:
        return None
    with_onnx = bool({Way.OPENVINO_FLOAT, Way.ONNX_FLOAT}.intersection(request.ways))
    return make_twins(task.bundle, request.checkpoint, scratch, with_onnx=with_onnx)


def _compare_answers(
    task: Task, runs: Mapping[Way, Runs], twins: Twins | None
) -> dict[Way, Answers | None]:
    if Way.OURS not in runs:
        return dict.fromkeys(runs)
    ours = scores_of(runs[Way.OURS].runs[0].output)
    answers: dict[Way, Answers | None] = {}
    for way, found in runs.items():
        comparable = way in (Way.OURS, Way.SCRIPT) or (
            twins is not None and _has_weights(way, twins)
        )
        theirs = scores_of(found.runs[0].output)
        answers[way] = _difference(task, ours, theirs) if comparable else None
    return answers


def _has_weights(way: Way, twins: Twins) -> bool:
    if way in (Way.REPORT, Way.TORCHSCRIPT):
        return twins.trained_torch
    return way is Way.ONNX_INT8 or twins.trained_onnx


def _difference(task: Task, ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> Answers:
    flagged = [_flagged(task, scores) for scores in (ours, theirs)]
    changed = sum(a != b for a, b in zip(*flagged, strict=True))
    return Answers(changed, float(np.abs(ours.max(axis=0) - theirs.max(axis=0)).max()))


def _flagged(task: Task, scores: NDArray[np.float32]) -> list[bool]:
    metadata = task.bundle.metadata
    findings = find_regions(scores, metadata.decision, names=metadata.regions.names)
    return [bool(finding.affected) for finding in findings]
