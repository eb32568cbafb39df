# SPDX-License-Identifier: Apache-2.0
"""What is measured: the points of each curve. One frozen value; `--quick` chooses the other."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from aminet_train.networks import Approach

OnPoint = Callable[[str], None]
"""Called after each measurement with the name of the curve."""


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """The sizes of each curve; a curve without sizes is left out.

    Attributes:
        slices: Of a patient, at his own pixels.
        edge_px: Columns and rows of a slice, with `edge_slices` slices.
        edge_slices: See there.
        patients: In one call of aminet-run, each with `small_slices` slices.
        threads: Of aminet-run, on as many processors.
        jobs: Patients at a time, on as many processors, of `job_patients` patients in all.
        job_patients: See there.
        small_slices: Slices of the patients of these.
        input_px: Height and width of the network in training.
        prepared_slices: Of the phantoms that are prepared.
        calibration_slices: Of an export.
        approach: What is trained and exported.
        rounds: Counted rounds of each point of aminet-run.
    """

    slices: tuple[int, ...] = (50, 100, 200, 400, 800, 1200)
    edge_px: tuple[int, ...] = (256, 384, 512, 768, 1024)
    edge_slices: int = 64
    patients: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    threads: tuple[int, ...] = (1, 2)
    jobs: tuple[int, ...] = (1, 2)
    job_patients: int = 6
    small_slices: int = 48
    input_px: tuple[int, ...] = (96, 128, 192, 256)
    prepared_slices: tuple[int, ...] = (32, 64, 128)
    calibration_slices: tuple[int, ...] = (8, 24, 72)
    approach: Approach = Approach.MOBILENETV2
    rounds: int = 3

    @property
    def points(self) -> int:
        """How many measurements there are, for progress."""
        run = (self.slices, self.edge_px, self.patients, self.threads, self.jobs)
        made = (self.input_px, self.prepared_slices, self.calibration_slices)
        return self.rounds * sum(map(len, run)) + sum(map(len, made))

    def on(self, cores: int) -> "ScalingPlan":
        """Return the plan without threads and jobs that would share a processor."""
        return replace(
            self,
            threads=tuple(n for n in self.threads if n <= cores),
            jobs=tuple(n for n in self.jobs if n <= cores),
        )


FULL = ScalingPlan()
QUICK = ScalingPlan(
    slices=(50, 200, 800),
    edge_px=(256, 512, 1024),
    edge_slices=24,
    patients=(1, 3, 10),
    job_patients=4,
    small_slices=24,
    input_px=(96, 128, 192),
    prepared_slices=(16, 32, 64),
    calibration_slices=(),
    rounds=1,
)
