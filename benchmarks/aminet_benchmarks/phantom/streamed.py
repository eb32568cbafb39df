# SPDX-License-Identifier: Apache-2.0
"""A cohort of phantoms straight to prepared data: thousands of patients, no volumes on disk."""

from dataclasses import dataclass

from aminet_benchmarks.phantom.atlas import REGION_MIRROR, REGION_NAMES
from aminet_benchmarks.phantom.cohort import Progress, cohort_seeds, patient_id
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.patient import make_patient
from aminet_benchmarks.phantom.real.heads import AnatomyRequest, requested_anatomy
from aminet_benchmarks.phantom.source import PhantomSource
from aminet_benchmarks.phantom.threads import map_single_threaded
from aminet_runtime.regions import Regions
from aminet_train.cohort.prepare_patient import PreparePlan, prepare_patient
from aminet_train.cohort.prepared import write_cohort_file
from aminet_train.cohort.splits import Split, all_in, write_splits


@dataclass(frozen=True, slots=True)
class StreamedCohort:
    """Which phantoms to prepare.

    Attributes:
        patients: How many.
        seed: Seed of the cohort; the patients are those that `write_cohort` would write.
        config: What the patients are drawn from.
        split: The one split that all of them belong to.
        jobs: Processes.
        anatomy: Real anatomy to draw the heads from; None grows them.
    """

    patients: int
    seed: int
    config: PhantomConfig
    split: Split
    jobs: int = 1
    anatomy: AnatomyRequest | None = None

    @property
    def patient_seeds(self) -> range:
        """Seed of each patient."""
        return cohort_seeds(self.seed, self.patients)


def prepare_phantoms(cohort: StreamedCohort, plan: PreparePlan, *, on_progress: Progress) -> None:
    """Render the slices that training keeps, and prepare them as `aminet-prepare` would.

    Patients that are there already are not made again.

    Args:
        cohort: Which phantoms.
        plan: Where to, channels, and how many slices without clot to keep.
        on_progress: Called with (patients done, all patients).

    Raises:
        InputError: Something in the folder of real anatomy does not fit.
        InputUnsupported: The folder was prepared with other settings.
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    if cohort.anatomy is not None:
        cohort.anatomy.heads()  # refuse a folder that does not fit before anything is written
    regions = Regions(names=REGION_NAMES, mirror=REGION_MIRROR)
    write_cohort_file(plan.root, plan.preprocessing, regions, kept=plan.kept)
    seeds, count = cohort.patient_seeds, cohort.patients
    made = map_single_threaded(
        _prepare_one, seeds, [cohort] * count, [plan] * count, jobs=cohort.jobs
    )
    for done, _ in enumerate(made, start=1):
        on_progress(done, count)
    names = [patient_id(seed) for seed in seeds]
    write_splits(plan.root, all_in(cohort.split, names))


def _prepare_one(seed: int, cohort: StreamedCohort, plan: PreparePlan) -> None:
    anatomy = requested_anatomy(cohort.anatomy, seed, cohort.config)
    patient = make_patient(seed, cohort.config, anatomy=anatomy)
    prepare_patient(PhantomSource(patient, patient_id(seed), plan.preprocessing.channels), plan)
