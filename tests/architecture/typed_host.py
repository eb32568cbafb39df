# SPDX-License-Identifier: Apache-2.0
"""A host that mypy must accept against the installed wheel, as `make test-wheel` asks it."""

from collections.abc import Iterator, Mapping
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from aminet_runtime import (
    AminetError,
    Budget,
    EnsembleSession,
    PatientResult,
    RegionFinding,
    Session,
    SliceScore,
    open_session,
)


def report(patient: str) -> Mapping[str, object]:
    """Run a patient, as a host does."""
    try:
        with open_session("bundle", threads=1) as session:
            assert_type(session, Session | EnsembleSession)
            result = session.run(patient, budget=Budget(time_limit_s=60.0))
    except AminetError as error:
        assert_type(error.code, str)
        return {"code": error.code, "exit_code": error.exit_code}
    assert_type(result, PatientResult)
    for region in result.affected:
        assert_type(region, RegionFinding)
    return result.to_json()


def scores(slices: Iterator[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Score slices as they come, as a host does."""
    with Session.open("bundle") as session:
        stream = session.stream(slices)
        assert_type(next(iter(stream)), SliceScore)
        return [score.probabilities for score in stream]
