# SPDX-License-Identifier: Apache-2.0
"""Scores of an evaluation on disk, so that anyone can compute the counts again.

    SCORES/LABEL/
      rule.json        thresholds, slices in a row, split, leaking
      <id>.npz         probabilities float32 [m, 15], slices int32 [m] (canonical numbers)

Read with `numpy.load(path, allow_pickle=False)`. For an ensemble the probabilities only rank;
`slice_flags` and `region_flags` (bool) are its votes, and are there for every model.
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aminet_runtime.publish import write_whole
from aminet_train.cohort.prepared_patient import PreparedPatient
from aminet_train.judging.answers import PatientAnswer

RULE_FILE = "rule.json"


def save_scores(
    folder: Path,
    patients: Sequence[PreparedPatient],
    answers: Mapping[str, PatientAnswer],
    about: Mapping[str, Any],
) -> None:
    """Write the scores of one model, one file a patient.

    Args:
        folder: Of this model.
        patients: Who was scored.
        answers: By patient.
        about: For `rule.json`.
    """
    for patient in patients:
        answer = answers[patient.patient_id]
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            probabilities=answer.slice_scores,
            slices=patient.slices,
            slice_flags=answer.slice_flags,
            region_flags=answer.region_flags,
        )
        write_whole(folder / f"{patient.patient_id}.npz", buffer.getvalue())
    write_whole(folder / RULE_FILE, (json.dumps(dict(about), indent=1) + "\n").encode())
