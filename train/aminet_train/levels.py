# SPDX-License-Identifier: Apache-2.0
"""The two levels of every figure; apart from the metrics, since many need the names alone."""

from enum import StrEnum


class Level(StrEnum):
    """Over which pairs F1 is taken, and the keys of every report."""

    SLICE = "slice"
    PATIENT = "patient"
