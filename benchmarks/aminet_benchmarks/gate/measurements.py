# SPDX-License-Identifier: Apache-2.0
"""What the gate measures: paired runs until the ratios are sure, memory at two sizes, answers."""

import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aminet_benchmarks.compare import scores_of
from aminet_benchmarks.floor import measure_floor
from aminet_benchmarks.gate.limits import Limits
from aminet_benchmarks.gate.sampling import Estimate, exact, median_of, median_ratio
from aminet_benchmarks.gate.stretched import stretch
from aminet_benchmarks.machine import isa_environment
from aminet_benchmarks.measure import MIB, Run, run_once
from aminet_benchmarks.twins import make_twins
from aminet_benchmarks.ways import Task, Way, command_of, our_command, require_plain
from aminet_export.isa_sweep import available_isas
from aminet_runtime.engines.openvino_import import ISAS_LIKE_THE_CAP

REPORT_ROUNDS = 3
"""The report's way takes ten times as long as all else, and its limit is far from its value."""

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


def measure(bench: Bench) -> Figures:
    """Measure all that the limits ask for.

    Raises:
        InputUnsupported: The script cannot read this patient or bundle.
        GateFailed: A command ended with an error.
    """
    require_plain(bench.task)
    ours, figures = _paired(bench)
    if bench.limits.time.stream_to_floor is not None:
        floor = measure_floor(bench.task, rounds=bench.limits.sampling.rounds, cores=bench.cores)
        figures["stream_to_floor"] = median_of([one / floor.wall_s for one in _stream_s(ours)])
    if bench.limits.time.wall_to_report is not None or bench.limits.memory.rss_to_report:
        figures |= _against_report(bench)
    if bench.limits.memory.growth is not None:
        figures["growth"] = _growth(bench)
    if bench.limits.answers.selftest_difference is not None:
        figures["selftest_difference"] = _selftest(bench)
    if bench.limits.answers.isa_difference is not None:
        figures["isa_difference"] = _isa_difference(bench)
    return figures


def played_isas() -> tuple[str, ...]:
    """Return the instruction sets whose answers must agree and that this machine can play."""
    return tuple(isa for isa in available_isas() if isa in ISAS_LIKE_THE_CAP)


def _paired(bench: Bench) -> tuple[Sequence[Run], Figures]:
    """Run ours and the script in turn until the ratios are sure, or the rounds are used up."""
    sampling = bench.limits.sampling
    commands = {
        Way.OURS: bench.ours([bench.task.patient]),
        Way.SCRIPT: command_of(Way.SCRIPT, bench.task, None) or [],
    }
    runs: dict[Way, list[Run]] = {way: [] for way in commands}
    for command in commands.values():  # fills the file cache
        run_once(command, cores=bench.cores)
    while True:
        for way, command in commands.items():
            runs[way].append(run_once(command, cores=bench.cores))
        figures = _ratios(runs[Way.OURS], runs[Way.SCRIPT], slices=bench.task.shape[0])
        rounds = len(runs[Way.OURS])
        is_sure = rounds >= sampling.rounds and _is_sure(figures, bench.limits)
        if is_sure or rounds >= sampling.most_rounds:
            return runs[Way.OURS], figures


def _is_sure(figures: Figures, limits: Limits) -> bool:
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


def _ratios(ours: Sequence[Run], script: Sequence[Run], *, slices: int) -> Figures:
    loop_s = [json.loads(run.output)["loop_s"] for run in script]
    peaks = [run.peak_rss_mib for run in ours]
    return {
        "wall_s": median_of([run.wall_s for run in ours]),
        "peak_rss_mib": median_of(peaks),
        "wall_to_script": median_ratio(
            [run.wall_s for run in ours], [run.wall_s for run in script]
        ),
        "slice_to_script": median_ratio(
            [one / slices for one in _stream_s(ours)], [one / slices for one in loop_s]
        ),
        "cpu_to_script": median_ratio([run.cpu_s for run in ours], [run.cpu_s for run in script]),
        "rss_to_script": median_ratio(peaks, [run.peak_rss_mib for run in script]),
    }


def _stream_s(runs: Sequence[Run]) -> list[float]:
    return [json.loads(run.output)["timings_ms"]["stream"] / 1000.0 for run in runs]


def _against_report(bench: Bench) -> Figures:
    with tempfile.TemporaryDirectory(prefix="aminet-gate-") as scratch:
        twins = make_twins(bench.task.bundle, None, Path(scratch))
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
            [run.wall_s for run in ours], [run.wall_s for run in theirs]
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
