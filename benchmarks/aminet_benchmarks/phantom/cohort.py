# SPDX-License-Identifier: Apache-2.0
"""A cohort of phantoms: one folder a patient, on all cores, resumed where it stopped."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from aminet_benchmarks.phantom.anatomy import GROWN
from aminet_benchmarks.phantom.atlas import REGION_MIRROR, REGION_NAMES
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.files import TRUTH_FILE, write_patient
from aminet_benchmarks.phantom.patient import Twin, make_patient
from aminet_benchmarks.phantom.real.heads import (
    AnatomyRequest,
    requested_anatomy,
    requested_origin,
)
from aminet_benchmarks.phantom.threads import map_single_threaded
from aminet_benchmarks.phantom.version import GENERATOR_VERSION
from aminet_runtime.errors import OutputExists, UsageError
from aminet_runtime.publish import require_writable_folder, write_whole
from aminet_runtime.regions import REGIONS_FILE

SEEDS_PER_COHORT = 100_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CohortPlan:
    """What a cohort is made of.

    Attributes:
        folder: Where the patient folders go.
        patients: How many.
        seed: Seed of the cohort; patient n has the seed `seed * 100000 + n`.
        config: What the patients are drawn from.
        twin: `self`, or which twins of these patients to write.
        jobs: Processes.
        anatomy: Real anatomy to draw the heads from; None grows them.
        only: Names of the patients to write; None writes all of them.
    """

    folder: Path
    patients: int
    seed: int
    config: PhantomConfig
    twin: Twin = "self"
    jobs: int = 1
    anatomy: AnatomyRequest | None = None
    only: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that make no cohort."""
        require_cohort(self.patients, self.seed, self.jobs)
        if not self.seeds:
            raise UsageError("none of these patients was asked for", hint="check seed and names")

    @property
    def seeds(self) -> list[int]:
        """Seed of each patient that is to be written."""
        seeds = cohort_seeds(self.seed, self.patients)
        return [seed for seed in seeds if self.only is None or patient_id(seed) in self.only]


def require_cohort(patients: int, seed: int, jobs: int) -> None:
    """Refuse numbers that make no cohort.

    Raises:
        UsageError: One of them does not.
    """
    if not 1 <= patients <= SEEDS_PER_COHORT:
        raise UsageError(f"--patients {patients} is not 1 to {SEEDS_PER_COHORT}")
    if seed < 0:
        raise UsageError(f"--seed {seed} is below 0")
    if jobs < 1:
        raise UsageError(f"--jobs {jobs} is below 1")


def cohort_seeds(seed: int, patients: int) -> range:
    """Return the seed of each patient of a cohort."""
    first = seed * SEEDS_PER_COHORT
    return range(first, first + patients)


def patient_id(seed: int) -> str:
    """Return the folder name of the patient with a seed."""
    return f"p{seed:07d}"


def write_cohort(plan: CohortPlan, *, on_progress: Progress | None = None) -> list[Path]:
    """Write the patients of a cohort that are not there yet, and regions.json.

    Args:
        plan: What to write.
        on_progress: Called with (patients done, all patients).

    Returns:
        The patient folders, those that were there already among them.

    Raises:
        InputError: Something in the folder of real anatomy does not fit.
        OutputExists: A patient folder is there, but of another kind of cohort.
        OutputNotWritable: The disk or the permissions do not allow it.
    """
    if plan.anatomy is not None:
        plan.anatomy.heads()  # refuse a folder that does not fit before anything is written
    require_writable_folder(plan.folder)
    seeds = plan.seeds
    folders = [plan.folder / patient_id(seed) for seed in seeds]
    missing = [
        seed
        for seed, folder in zip(seeds, folders, strict=True)
        if not _is_done(folder, seed, plan)
    ]
    write_whole(plan.folder / REGIONS_FILE, _regions_json())
    report = on_progress or (lambda _done, _total: None)
    report(len(folders) - len(missing), len(folders))
    made = map_single_threaded(_write_one, missing, [plan] * len(missing), jobs=plan.jobs)
    for count, _ in enumerate(made, start=1):
        report(len(folders) - len(missing) + count, len(folders))
    return folders


def _is_done(folder: Path, seed: int, plan: CohortPlan) -> bool:
    """Say whether this very patient is there; refuse to mix it with another kind."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if _made_from(folder) != _expected(seed, plan):
        raise OutputExists(
            "there is another patient of this name",
            path=folder,
            hint="write this cohort into another folder, or remove that one",
        )
    return True


def _made_from(folder: Path) -> dict[str, object] | None:
    try:
        truth = json.loads((folder / TRUTH_FILE).read_text(encoding="utf-8"))
        made = {key: truth[key] for key in ("generator_version", "seed", "twin", "config")}
        return {**made, "anatomy": truth.get("anatomy", GROWN.as_json())}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _expected(seed: int, plan: CohortPlan) -> dict[str, object]:
    return {
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "twin": plan.twin,
        "config": json.loads(json.dumps(asdict(plan.config))),
        "anatomy": requested_origin(plan.anatomy, seed).as_json(),
    }


def _regions_json() -> bytes:
    text = json.dumps({"names": list(REGION_NAMES), "mirror": list(REGION_MIRROR)}, indent=2)
    return (text + "\n").encode()


def _write_one(seed: int, plan: CohortPlan) -> None:
    anatomy = requested_anatomy(plan.anatomy, seed, plan.config)
    patient = make_patient(seed, plan.config, twin=plan.twin, anatomy=anatomy)
    write_patient(patient, plan.folder / patient_id(seed))
