# SPDX-License-Identifier: Apache-2.0
"""aminet-run against the size of its task: slices, pixels, patients, threads and jobs.

Patients are made by stretching one: the same head with more slices or pixels. The points of a curve
take turns, round by round.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aminet_benchmarks.gate.stretched import stretch
from aminet_benchmarks.measure import run_once
from aminet_benchmarks.scaling.curve import Curve, Point, median_point
from aminet_benchmarks.scaling.plan import OnPoint, ScalingPlan
from aminet_benchmarks.ways import Task, our_command


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where is measured.

    Attributes:
        task: The patient that is stretched, and the bundle.
        cores: Processors; a run takes the first of them, or as many as it has threads or jobs.
        scratch: Folder for the patients; each is removed after its curve.
        rounds: Of each point.
        on_point: See there.
    """

    task: Task
    cores: tuple[int, ...]
    scratch: Path
    rounds: int
    on_point: OnPoint

    def run(self, patients: Sequence[Path], *, threads: int = 1, jobs: int = 1) -> Point:
        """Run some patients in one call; the size of the point is set by the caller."""
        command = our_command(patients, self.task.bundle.path, threads=threads, jobs=jobs)
        run = run_once(command, cores=self.cores[: max(threads, jobs)])
        # with several at work, the queue of the first thread says nothing about the whole
        wall_s = run.undisturbed_s if threads == jobs == 1 else run.wall_s
        return Point(0, wall_s, run.peak_rss_mib, len(patients))


@dataclass(frozen=True, slots=True)
class _Job:
    """One point of a curve: what to run for it."""

    size: int
    items: int
    run: Callable[[], Point]


def patient_curves(place: Workplace, plan: ScalingPlan) -> Iterator[Curve]:
    """Measure all curves of aminet-run.

    Raises:
        GateFailed: A run ended with an error.
    """
    with _stretched(place, "slices") as make:
        jobs = [_Job(n, n, _of(place, [make(slices=n)])) for n in plan.slices]
        yield from _measured(place, "slices of a patient", "slices", jobs)
    with _stretched(place, "pixels") as make:
        depth = plan.edge_slices
        jobs = [_Job(n, depth, _of(place, [make(slices=depth, edge_px=n)])) for n in plan.edge_px]
        yield from _measured(place, "columns and rows of a slice", "slices", jobs)
    with _stretched(place, "patients") as make:
        most = max((*plan.patients, plan.job_patients, 1))
        folders = _copies(make(slices=plan.small_slices), most)
        jobs = [_Job(n, n, _of(place, folders[:n])) for n in plan.patients]
        yield from _measured(place, "patients in a call", "patients", jobs)
        together = folders[: plan.job_patients]
        jobs = [_Job(n, len(together), _of(place, together, jobs=n)) for n in plan.jobs]
        yield from _measured(place, "jobs", "patients", jobs)
    depth = place.task.shape[0]
    jobs = [_Job(n, depth, _of(place, [place.task.patient], threads=n)) for n in plan.threads]
    yield from _measured(place, "threads", "slices", jobs)


def _measured(place: Workplace, name: str, item: str, jobs: Sequence[_Job]) -> Iterator[Curve]:
    """Yield the curve; nothing where there are no sizes."""
    if not jobs:
        return
    found: dict[int, list[Point]] = {job.size: [] for job in jobs}
    for _round in range(place.rounds):
        for job in jobs:
            point = job.run()
            found[job.size].append(Point(job.size, point.wall_s, point.peak_rss_mib, job.items))
            place.on_point(name)
    yield Curve(name, item, tuple(median_point(points) for points in found.values()))


def _of(
    place: Workplace, patients: Sequence[Path], *, threads: int = 1, jobs: int = 1
) -> Callable[[], Point]:
    return lambda: place.run(patients, threads=threads, jobs=jobs)


@contextmanager
def _stretched(place: Workplace, name: str) -> Iterator[Callable[..., Path]]:
    """Yield a way to make patients of other sizes; they are gone after the block."""
    folder = place.scratch / name

    def make(*, slices: int | None = None, edge_px: int | None = None) -> Path:
        size = f"{slices}-{edge_px}"
        return stretch(place.task, folder / size, slices=slices, edge_px=edge_px)

    try:
        yield make
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copies(patient: Path, count: int) -> list[Path]:
    """Make more patients of one, by links to the same files: the runtime reads each anew."""
    folders = [patient]
    for number in range(1, count):
        folder = patient.with_name(f"{patient.name}-{number}")
        folder.mkdir()
        for file in patient.iterdir():
            os.link(file, folder / file.name)
        folders.append(folder)
    return folders
