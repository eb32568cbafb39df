# SPDX-License-Identifier: Apache-2.0
"""What the gate measures: paired runs until the ratios are sure, memory at two sizes, answers."""

import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from aminet_benchmarks.compare import scores_of
from aminet_benchmarks.floor import measure_floor
from aminet_benchmarks.gate.limits import Limits
from aminet_benchmarks.gate.sampling import Estimate, exact, median_of, median_ratio
from aminet_benchmarks.gate.stretched import stretch
from aminet_benchmarks.machine import isa_environment, played_isas
from aminet_benchmarks.measure import MIB, Run, run_once
from aminet_benchmarks.twins import make_twins
from aminet_benchmarks.ways import Task, Way, command_of, our_command, require_plain

REPORT_ROUNDS = 3
"""The report's way takes ten times as long as all else, and its limit is far from its value."""

SHORT_SHARE = 8
"""The short copy has an eighth of the slices: what it costs is start and compiling above all."""

SHORT_SLICES = 32
GROWTH_BYTES = 64 * MIB
"""What the slices of the longer patient hold more, in float32: far above the noise of a peak."""

MOST_SLICES_MORE = 2000
"""Of tiny slices: the runtime reads 4096 slices at most."""

GROWTH_ROUNDS = 3

Figures = dict[str, Estimate]
"""By the name of the limit; a figure that could not be measured is missing."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and against what is measured.

    Attributes:
        task: Patient and bundle.
        cores: Processors, one thread each.
        limits: Only what is limited is measured.
    """

    task: Task
    cores: tuple[int, ...]
    limits: Limits

    def ours(self, patients: Sequence[Path]) -> list[str]:
        """Return the command that is judged."""
        return our_command(patients, self.task.bundle.path, threads=len(self.cores))


@dataclass(frozen=True, slots=True)
class Round:
    """One turn: ours and the script, on the patient and on a short copy of him.

    Attributes:
        ours: Our command.
        script: The 30-line script.
        ours_short: Our command on the copy.
        script_short: The script on the copy.
    """

    ours: Run
    script: Run
    ours_short: Run
    script_short: Run

    @property
    def ours_slices_s(self) -> float:
        """What the slices that the copy has not cost us: start and compiling cancel."""
        return self.ours.undisturbed_s - self.ours_short.undisturbed_s

    @property
    def script_slices_s(self) -> float:
        """The same of the script."""
        return self.script.undisturbed_s - self.script_short.undisturbed_s


def measure(bench: Bench) -> Figures:
    """Measure all that the limits ask for.

    Raises:
        InputUnsupported: The script cannot read this patient or bundle.
        GateFailed: A command ended with an error.
    """
    require_plain(bench.task)
    figures: Figures = {}
    if _asks_for_rounds(bench.limits):
        rounds = _rounds(bench)
        figures |= ratios(rounds)
        if bench.limits.time.stream_to_floor is not None:
            figures["stream_to_floor"] = _against_floor(bench, rounds)
    if bench.limits.time.wall_to_report is not None or bench.limits.memory.rss_to_report:
        figures |= _against_report(bench)
    if bench.limits.memory.growth is not None:
        figures["growth"] = _growth(bench)
    if bench.limits.answers.selftest_difference is not None:
        figures["selftest_difference"] = _selftest(bench)
    if bench.limits.answers.isa_difference is not None:
        figures["isa_difference"] = _isa_difference(bench)
    return figures


def ratios(rounds: Sequence[Round]) -> Figures:
    """Return what the rounds say about time and memory, by the name of the limit."""
    ours, script = [one.ours for one in rounds], [one.script for one in rounds]
    return {
        "wall_s": median_of([run.wall_s for run in ours]),
        "peak_rss_mib": median_of([run.peak_rss_mib for run in ours]),
        "wall_to_script": median_ratio(
            [run.undisturbed_s for run in ours], [run.undisturbed_s for run in script]
        ),
        "slice_to_script": median_ratio(
            [one.ours_slices_s for one in rounds], [one.script_slices_s for one in rounds]
        ),
        "cpu_to_script": median_ratio([run.cpu_s for run in ours], [run.cpu_s for run in script]),
        "rss_to_script": median_ratio(
            [run.peak_rss_mib for run in ours], [run.peak_rss_mib for run in script]
        ),
    }


def is_sure(figures: Figures, limits: Limits) -> bool:
    """Tell whether each interval is narrow enough, and on one side of its limit."""
    asked = {
        "wall_to_script": limits.time.wall_to_script,
        "slice_to_script": limits.time.slice_to_script,
        "cpu_to_script": limits.time.cpu_to_script,
        "rss_to_script": limits.memory.rss_to_script,
    }
    return all(
        figures[name].relative_width <= limits.sampling.interval and not figures[name].holds(limit)
        for name, limit in asked.items()
        if limit is not None
    )


def _short_slices(task: Task) -> int:
    return max(task.shape[0] // SHORT_SHARE, 1)


def _asks_for_rounds(limits: Limits) -> bool:
    elsewhere = replace(limits.time, wall_to_report=None)
    asked = (*astuple(limits.hard), *astuple(elsewhere), limits.memory.rss_to_script)
    return any(limit is not None for limit in asked)


def _rounds(bench: Bench) -> list[Round]:
    with tempfile.TemporaryDirectory(prefix="aminet-gate-") as scratch:
        short = stretch(bench.task, Path(scratch) / "short", slices=_short_slices(bench.task))
        return _run_until_sure(bench, Task.of(short, bench.task.bundle.path))


def _run_until_sure(bench: Bench, short: Task) -> list[Round]:
    """Run in turn until the ratios are sure, or the rounds are used up."""
    commands = [
        bench.ours([bench.task.patient]),
        command_of(Way.SCRIPT, bench.task, None) or [],
        bench.ours([short.patient]),
        command_of(Way.SCRIPT, short, None) or [],
    ]
    for command in commands:  # fills the file cache
        run_once(command, cores=bench.cores)
    sampling, rounds = bench.limits.sampling, list[Round]()
    while len(rounds) < sampling.most_rounds:
        rounds.append(Round(*(run_once(command, cores=bench.cores) for command in commands)))
        if len(rounds) >= sampling.rounds and is_sure(ratios(rounds), bench.limits):
            break
    return rounds


def _against_floor(bench: Bench, rounds: Sequence[Round]) -> Estimate:
    floor = measure_floor(bench.task, rounds=bench.limits.sampling.rounds, cores=bench.cores)
    slices = bench.task.shape[0]
    all_slices = slices / (slices - _short_slices(bench.task)) / floor.wall_s
    return median_of([one.ours_slices_s * all_slices for one in rounds])


def _against_report(bench: Bench) -> Figures:
    with tempfile.TemporaryDirectory(prefix="aminet-gate-") as scratch:
        twins = make_twins(bench.task.bundle, None, Path(scratch), with_onnx=False)
        report = command_of(Way.REPORT, bench.task, twins) or []
        pairs = [
            (
                run_once(bench.ours([bench.task.patient]), cores=bench.cores),
                run_once(report, cores=bench.cores),
            )
            for _round in range(REPORT_ROUNDS)
        ]
    ours, theirs = zip(*pairs, strict=True)
    return {
        "wall_to_report": median_ratio(
            [run.undisturbed_s for run in ours], [run.undisturbed_s for run in theirs]
        ),
        "rss_to_report": median_ratio(
            [run.peak_rss_mib for run in ours], [run.peak_rss_mib for run in theirs]
        ),
    }


def _growth(bench: Bench) -> Estimate:
    """Return bytes more at the peak for each byte of slices more."""
    _depth, height, width = bench.task.shape
    slice_bytes = 4 * height * width * len(bench.task.volumes)
    more = min(math.ceil(GROWTH_BYTES / slice_bytes), MOST_SLICES_MORE)
    with tempfile.TemporaryDirectory(prefix="aminet-gate-") as scratch:
        short, long = (
            stretch(bench.task, Path(scratch) / name, slices=slices)
            for name, slices in (("short", SHORT_SLICES), ("long", SHORT_SLICES + more))
        )
        differences = [
            _peak_bytes(bench, long) - _peak_bytes(bench, short) for _round in range(GROWTH_ROUNDS)
        ]
    return median_of([difference / (more * slice_bytes) for difference in differences])


def _peak_bytes(bench: Bench, patient: Path) -> float:
    return run_once(bench.ours([patient]), cores=bench.cores).peak_rss_mib * MIB


def _selftest(bench: Bench) -> Estimate:
    program = [sys.executable, "-m", "aminet_benchmarks.gate.selftest"]
    run = run_once([*program, str(bench.task.bundle.path)], cores=bench.cores)
    return exact(float(json.loads(run.output)["largest_difference"]))


def _isa_difference(bench: Bench) -> Estimate:
    command = bench.ours([bench.task.patient])
    native = scores_of(run_once(command, cores=bench.cores).output)
    differences = [0.0]
    for isa in played_isas():
        run = run_once(command, cores=bench.cores, environment=isa_environment(isa))
        differences.append(float(np.abs(scores_of(run.output) - native).max()))
    return exact(max(differences))
