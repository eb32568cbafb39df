# SPDX-License-Identifier: Apache-2.0
"""Does the graph of the SPIRAL threshold find the maxima that preparation found?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from aminet_export.gate import CASE_MAXIMA
from aminet_export.openvino_scorer import openvino_scorer
from aminet_export.parity import largest_difference
from aminet_export.slices import folder_fingerprint
from aminet_export.source import Source
from aminet_runtime.errors import GateFailed
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.judging.spiral import spiral_scores


def drawn_difference(model: ov.Model, source: Source, patients: list[PreparedPatient]) -> float:
    """Compare what the graph finds on drawn slices with what they were drawn from."""
    scorer = openvino_scorer(model, source.cached_shape)
    return _difference(source.score_patients(scorer, patients), patients)


def folder_difference(scores: NDArray[np.float32], source: Source, folder: Path) -> float:
    """Compare the graph's scores [Z, 15] of a folder at full size with its prepared maxima.

    Returns:
        The largest difference; 0 if the folder's scan is not among the prepared patients.
    """
    fingerprint = folder_fingerprint(folder, source.prepared.channels)
    everybody = (patient for group in source.patients.values() for patient in group)
    known = [patient for patient in everybody if patient.fingerprint == fingerprint][:1]
    return _difference([scores for _patient in known], known)


def require_same_maxima(difference: float) -> None:
    """Refuse a graph that finds other maxima than preparation did.

    Raises:
        GateFailed: There is a difference; a maximum rounds nothing, so there is no tolerance.
    """
    if difference != 0:  # NaN fails, too
        raise GateFailed(
            f"the graph's maxima differ by {difference:.2g} from the prepared ones",
            case=CASE_MAXIMA,
            hint="prepare the data again with this version",
        )


def _difference(
    scores: Sequence[NDArray[np.float32]], patients: Sequence[PreparedPatient]
) -> float:
    wanted = [spiral_scores(patient) for patient in patients]
    return largest_difference(scores, wanted) if wanted else 0.0
