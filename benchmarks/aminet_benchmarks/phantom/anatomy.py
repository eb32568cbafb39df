# SPDX-License-Identifier: Apache-2.0
"""Anatomy: what a source of heads has to deliver, and the grown one."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.arteries import grow_arteries
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.grid import ModelGrid
from aminet_benchmarks.phantom.head import HeadShape, cavity_depth_mm, draw_head
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.tissue import TissueModel, build_tissue
from aminet_benchmarks.phantom.veins import grow_veins
from aminet_benchmarks.phantom.vessels import GraphBuilder, VesselGraph


class Anatomy(Protocol):
    """One head before the scanner, in the head frame (MNI mm): surfaces, tissue and vessels.

    Whatever satisfies this can be scanned: `make_patient(seed, config, anatomy=...)`.
    """

    @property
    def vessels(self) -> VesselGraph:
        """Arteries and veins."""
        ...

    def tissue(self, grid: ModelGrid) -> TissueModel:
        """Return the borders of the tissues on a coarse grid."""
        ...

    def cavity_depth_mm(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the signed distance of points [..., 3] to the wall of the cranial cavity."""
        ...


@dataclass(frozen=True, slots=True)
class GrownAnatomy:
    """A head that is grown from a seed.

    Attributes:
        head: Parameters of its surfaces.
        vessels: Arteries and veins.
        seed: Seed of the patient, for the folds and the texture.
    """

    head: HeadShape
    vessels: VesselGraph
    seed: int

    def tissue(self, grid: ModelGrid) -> TissueModel:
        """Return the borders of the tissues on a coarse grid."""
        return build_tissue(grid, head=self.head, seed=self.seed)

    def cavity_depth_mm(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the signed distance of points [..., 3] to the wall of the cranial cavity."""
        return cavity_depth_mm(self.head, points)


def grow_anatomy(seed: int, config: PhantomConfig) -> GrownAnatomy:
    """Grow a head and its vessels from nothing but a seed."""
    head = draw_head(stream(seed, "head"), config)
    builder = GraphBuilder()
    grow_arteries(builder, head=head, config=config, seed=seed)
    grow_veins(builder, head=head, config=config, seed=seed)
    return GrownAnatomy(head=head, vessels=builder.build(), seed=seed)
