# SPDX-License-Identifier: Apache-2.0
"""The SPIRAL-like map: how suspicious the tissue's filling is, 0 or 0.5..1.

It is made as a user of SPIRAL would: smoothed enhancement of the three phases, its mean and its
centroid in time, compared with the other hemisphere and the patient's own median, through a
logistic. It has no noise of its own: whatever misleads it is in the voxels, too. It fails as the
real one does: old infarcts and tissue that fills unevenly look like damage, clots with good
collaterals do not, and posterior fossa and skull base are not covered.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.atlas import posterior_fossa_mm
from aminet_benchmarks.phantom.bolus import Bolus

Field = NDArray[np.float32]

# logit = OFFSET + evidence. The numbers were fitted so that a threshold on the map finds about what
# it found in the source report (precision and recall a patient).
OFFSET = -0.2
PER_SECOND_LATE = 0.125
PER_MISSING_BLOOD = 2.5
OTHER_SIDE = 0.5  # weight of the other hemisphere in what is held for normal
HIGHEST_LOGIT = 6.0
BLANK_LOGIT = 4.0  # small, as cubic interpolation overshoots beside large steps
FOSSA_MARGIN_MM = 2.0
LOWEST_Z_MM = -10.0  # about the level of the circle of Willis
FAINT_HU = 1e-3


@dataclass(frozen=True, slots=True)
class Filling:
    """How contrast fills points of tissue.

    Attributes:
        points: float32 [..., 3] mm in the head frame.
        brain: bool [...], where there is brain.
        enhanced: float32 [3, ...], HU of enhancement in the three phases.
        mirrored: float32 [3, ...], the same at the mirrored points.
    """

    points: Field
    brain: NDArray[np.bool_]
    enhanced: Field
    mirrored: Field


def spiral_logit(filling: Filling, *, bolus: Bolus) -> Field:
    """Judge each point of tissue by its delay and its missing blood.

    Args:
        filling: How contrast fills the tissue.
        bolus: Times of the phases.

    Returns:
        Logit of the map, [...]; the map is blank below 0.
    """
    if not filling.brain.any():
        return np.full(filling.brain.shape, -BLANK_LOGIT, np.float32)
    late, missing = _abnormality(filling, bolus)
    logit = OFFSET + PER_SECOND_LATE * late + PER_MISSING_BLOOD * missing
    logit = np.clip(logit, -BLANK_LOGIT, HIGHEST_LOGIT)
    logit[_is_uncovered(filling.points)] = -BLANK_LOGIT
    return np.asarray(logit, np.float32)


def spiral_slice(logit: Field, brain: NDArray[np.bool_]) -> Field:
    """Return the map [H, W] of one slice, 0 or 0.5..1: what is not suspicious is blank."""
    probability = 1 / (1 + np.exp(-logit))
    return np.asarray(np.where(brain & (logit > 0), probability, 0), np.float32)


def _is_uncovered(points: Field) -> NDArray[np.bool_]:
    """Mark the posterior fossa and the skull base, where beam hardening spoils the map."""
    in_fossa = posterior_fossa_mm(points) > -FOSSA_MARGIN_MM
    return np.asarray(in_fossa | (points[..., 2] < LOWEST_Z_MM), np.bool_)


def _abnormality(filling: Filling, bolus: Bolus) -> tuple[Field, Field]:
    """Return seconds of delay and share of missing blood against what is held for normal."""
    enhanced, mirrored, brain = filling.enhanced, filling.mirrored, filling.brain
    times = np.array(bolus.phase_s, np.float32)[:, None, None, None]
    total, other_total = enhanced.sum(axis=0) + FAINT_HU, mirrored.sum(axis=0) + FAINT_HU
    centroid = (enhanced * times).sum(axis=0) / total
    other_centroid = (mirrored * times).sum(axis=0) / other_total
    usual, normal = np.median(centroid[brain]), np.median(total[brain])
    late = centroid - (OTHER_SIDE * other_centroid + (1 - OTHER_SIDE) * usual)
    missing = 1 - total / (OTHER_SIDE * other_total + (1 - OTHER_SIDE) * normal)
    return late, missing
