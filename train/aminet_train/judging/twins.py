# SPDX-License-Identifier: Apache-2.0
"""Twins: the same heads without their clots. Do the flags go with the clot?

A network that has learned the clot takes its flag back when only the clot is gone; one that has
learned the patient, the arterial tree or the region does not. No real cohort can test that.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputInconsistent, InputMissing
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.judging.answers import PatientAnswer, affected_regions


def pair_twins(
    patients: Sequence[PreparedPatient], twins: Sequence[PreparedPatient]
) -> list[tuple[PreparedPatient, PreparedPatient]]:
    """Pair patients and twins of the same name; a patient without a twin is left out.

    Raises:
        InputMissing: No patient has a twin.
        InputInconsistent: A twin has a clot, or other slices than its patient.
    """
    by_name = {twin.patient_id: twin for twin in twins}
    pairs = [(p, by_name[p.patient_id]) for p in patients if p.patient_id in by_name]
    if not pairs:
        raise InputMissing(
            "no patient of the split has a twin of the same name",
            hint="make twins of the same seed with aminet-phantom --twin none, and prepare them",
        )
    for patient, twin in pairs:
        if twin.truth.labels.any():
            raise InputInconsistent(
                f"twin {twin.patient_id} has a clot", hint="make twins with --twin none"
            )
        if len(twin.slices) != len(patient.slices):
            raise InputInconsistent(
                f"{patient.patient_id} has {len(patient.slices)} slices, its twin "
                f"{len(twin.slices)}",
                hint="twins are made and prepared like their patients, split by patients",
            )
    return pairs


def twin_figures(
    pairs: Sequence[tuple[PreparedPatient, PreparedPatient]],
    with_clot: Mapping[str, PatientAnswer],
    without: Mapping[str, PatientAnswer],
) -> dict[str, Any]:
    """Count which flags go with the clot, at both levels.

    Returns:
        `patients`, and for `slice` and `patient`: the flags with a clot; the share of true ones
        that vanish with the clot; the share of all flags that stay; and how many flags the twins
        have. 0/0 is 0.
    """
    answers = [(p, with_clot[p.patient_id], without[p.patient_id]) for p, _twin in pairs]
    return {
        "patients": len(pairs),
        "slice": _level(
            np.concatenate([one.slice_flags for _, one, _ in answers]),
            np.concatenate([other.slice_flags for _, _, other in answers]),
            np.concatenate([patient.labels_here for patient, _, _ in answers]).astype(bool),
        ),
        "patient": _level(
            np.stack([one.region_flags for _, one, _ in answers]),
            np.stack([other.region_flags for _, _, other in answers]),
            np.stack([affected_regions(patient.labels_here) for patient, _, _ in answers]),
        ),
    }


def _level(
    flagged: NDArray[np.bool_], flagged_twin: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> dict[str, float]:
    true_flags = flagged & truth
    return {
        "flags": int(flagged.sum()),
        "true_flags": int(true_flags.sum()),
        "twin_flags": int(flagged_twin.sum()),
        "true_flags_that_vanish": _share(true_flags & ~flagged_twin, true_flags),
        "flags_that_stay": _share(flagged & flagged_twin, flagged),
    }


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 0.0
