# SPDX-License-Identifier: Apache-2.0
"""A cohort of phantoms straight to prepared data: thousands of patients, no volumes on disk."""

from dataclasses import dataclass, replace
from pathlib import Path

from aminet_benchmarks.phantom.atlas import REGION_MIRROR, REGION_NAMES
from aminet_benchmarks.phantom.cohort import Progress, cohort_seeds, patient_id, require_cohort
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.patient import make_patient
from aminet_benchmarks.phantom.real.heads import (
    AnatomyRequest,
    requested_anatomy,
    requested_origin,
)
from aminet_benchmarks.phantom.source import PhantomSource, fingerprint
from aminet_benchmarks.phantom.threads import map_single_threaded
from aminet_runtime.errors import OutputExists
from aminet_runtime.regions import Regions
from aminet_train.cohort.prepare_patient import PreparePlan, prepare_patient
from aminet_train.cohort.prepared import ALL_SLICES, PATIENT_FILE, read_scan, write_cohort_file
from aminet_train.cohort.splits import (
    HELD_OUT,
    SPLITS_FILE,
    Split,
    Splits,
    all_in,
    read_splits,
    write_splits,
)


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

    def __post_init__(self) -> None:
        """Refuse numbers that make no cohort."""
        require_cohort(self.patients, self.seed, self.jobs)

    @property
    def patient_seeds(self) -> range:
        """Seed of each patient."""
        return cohort_seeds(self.seed, self.patients)

    @property
    def splits(self) -> Splits:
        """All patients in the one split."""
        return all_in(self.split, [patient_id(seed) for seed in self.patient_seeds])


def prepare_phantoms(cohort: StreamedCohort, plan: PreparePlan, *, on_progress: Progress) -> None:
    """Render the slices that training keeps, and prepare them as `aminet-prepare` would.

    Patients that are there already are not made again: a cohort goes on where it was stopped, and
    grows where more patients are asked for.

    Args:
        cohort: Which phantoms.
        plan: Where to, channels, and which slices to keep of training patients; of those of
            validation and test all are kept.
        on_progress: Called with (patients done, all patients).

    Raises:
        InputError: Something in the folder of real anatomy does not fit.
        InputUnsupported: The folder was prepared with other settings.
        OutputExists: A patient is there, but of another kind of cohort, or the folder is split in
            another way.
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    if cohort.anatomy is not None:
        cohort.anatomy.heads()  # refuse a folder that does not fit before anything is written
    if cohort.split in HELD_OUT:
        plan = replace(plan, kept=ALL_SLICES)
    _require_same_split(cohort, plan.root)
    missing = [seed for seed in cohort.patient_seeds if not _is_done(seed, cohort, plan)]
    regions = Regions(names=REGION_NAMES, mirror=REGION_MIRROR)
    write_cohort_file(plan.root, plan.preprocessing, regions, kept=plan.kept)
    there, count = cohort.patients - len(missing), len(missing)
    made = map_single_threaded(
        _prepare_one, missing, [cohort] * count, [plan] * count, jobs=cohort.jobs
    )
    on_progress(there, cohort.patients)
    for done, _ in enumerate(made, start=there + 1):
        on_progress(done, cohort.patients)
    write_splits(plan.root, cohort.splits)


def _require_same_split(cohort: StreamedCohort, root: Path) -> None:
    """Refuse to write over the splits of other patients; the same may become more."""
    if not (root / SPLITS_FILE).exists():
        return
    there = read_splits(root)
    if any(set(there[split]) - set(cohort.splits[split]) for split in Split):
        raise OutputExists(
            "this folder holds other patients, or the same in another split",
            path=root / SPLITS_FILE,
            hint="prepare this cohort into another folder",
        )


def _is_done(seed: int, cohort: StreamedCohort, plan: PreparePlan) -> bool:
    """Say whether this very patient is there; refuse to mix it with another kind."""
    folder = plan.folder_of(patient_id(seed))
    if not (folder / PATIENT_FILE).exists():
        return False
    origin = requested_origin(cohort.anatomy, seed)
    if read_scan(folder).fingerprint != fingerprint(
        seed, cohort.config, twin="self", origin=origin
    ):
        raise OutputExists(
            "there is another patient of this name",
            path=folder,
            hint="prepare this cohort into another folder, or remove that one",
        )
    return True


def _prepare_one(seed: int, cohort: StreamedCohort, plan: PreparePlan) -> None:
    anatomy = requested_anatomy(cohort.anatomy, seed, cohort.config)
    patient = make_patient(seed, cohort.config, anatomy=anatomy)
    prepare_patient(PhantomSource(patient, patient_id(seed), plan.preprocessing.channels), plan)
