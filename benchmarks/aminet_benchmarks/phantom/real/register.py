# SPDX-License-Identifier: Apache-2.0
"""The circle of Willis of a traced tree, moved to where it lies in the template.

The trees were brought into MNI space by one affine for all, which fits the surface of the brain;
their circles lie about 10 mm too low, below the cisterns. Here the circle moves as a whole, so that
its shape stays that of the person, and the shift fades out towards the surface.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom import courses
from aminet_benchmarks.phantom.real.rooted import Links
from aminet_benchmarks.phantom.real.trunks import Trunks

RIGID_MM = 22.0  # around the middle of the circle; from there the shift fades
FADING_MM = 38.0


def register_circle(links: Links, trunks: Trunks) -> Links:
    """Return the tree with carotid termini and basilar tip, on average, at their usual places."""
    points = links.tree.points_mm
    found = np.array([points[node] for node in _landmarks(trunks)], np.float64)
    shift = (_usual_places() - found).mean(axis=0)
    distance = np.linalg.norm(points - found.mean(axis=0), axis=1)
    weight = np.exp(-((np.maximum(distance - RIGID_MM, 0) / FADING_MM) ** 2))
    moved = (points + weight[:, None] * shift).astype(np.float32)
    return replace(links, tree=replace(links.tree, points_mm=moved))


def _landmarks(trunks: Trunks) -> tuple[int, int, int]:
    return trunks.sides[1].carotid[-1], trunks.sides[-1].carotid[-1], trunks.basilar[-1]


def _usual_places() -> NDArray[np.float64]:
    terminus = np.array(courses.ICA[-1])
    return np.array([terminus, terminus * [-1, 1, 1], courses.BASILAR[-1]])
