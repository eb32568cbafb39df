# SPDX-License-Identifier: Apache-2.0
"""Anatomy: what a source of heads has to deliver, and the grown one."""

from dataclasses import dataclass
from typing import Literal, Protocol

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


@dataclass(frozen=True, slots=True)
class AnatomyOrigin:
    """Where a head comes from.

    Attributes:
        kind: Grown from the seed alone, or of real anatomy.
        tree: Name of the traced tree.
        mirrored: Whether right and left have changed places.
        trees_wanted: Out of which trees the seed chose.
        fingerprint: Hash (hex) of the files that the head was made from.
    """

    kind: Literal["grown", "real"]
    tree: str | None = None
    mirrored: bool | None = None
    trees_wanted: str | None = None
    fingerprint: str | None = None

    def as_json(self) -> dict[str, str | bool]:
        """Return what `phantom.json` holds of it: what is known, and no path."""
        known = {
            "kind": self.kind,
            "tree": self.tree,
            "mirrored": self.mirrored,
            "trees": self.trees_wanted,
            "fingerprint": self.fingerprint,
        }
        return {name: value for name, value in known.items() if value is not None}


GROWN = AnatomyOrigin(kind="grown")


class Anatomy(Protocol):
    """One head before the scanner, in the head frame (MNI mm): surfaces, tissue and vessels.

    Whatever satisfies this can be scanned: `make_patient(seed, config, anatomy=...)`.
    """

    @property
    def vessels(self) -> VesselGraph:
        """Arteries and veins."""
        ...

    @property
    def origin(self) -> AnatomyOrigin:
        """Where the head comes from."""
        ...

    def tissue(self, grid: ModelGrid) -> TissueModel:
        """Return the borders of the tissues on a coarse grid."""
        ...

    def cavity_depth_mm(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the signed distance of points [..., 3] to the wall of the cranial cavity."""
        ...

    def to_atlas_mm(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return where points [..., 3] of the head lie in the frame of the atlas."""
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

    @property
    def origin(self) -> AnatomyOrigin:
        """Where the head comes from."""
        return GROWN

    def tissue(self, grid: ModelGrid) -> TissueModel:
        """Return the borders of the tissues on a coarse grid."""
        return build_tissue(grid, head=self.head, seed=self.seed)

    def cavity_depth_mm(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the signed distance of points [..., 3] to the wall of the cranial cavity."""
        return cavity_depth_mm(self.head, points)

    def to_atlas_mm(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the points themselves: grown heads have the frame of the atlas."""
        return points


def grow_anatomy(seed: int, config: PhantomConfig) -> GrownAnatomy:
    """Grow a head and its vessels from nothing but a seed."""
    head = draw_head(stream(seed, "head"), config)
    builder = GraphBuilder()
    grow_arteries(builder, head=head, config=config, seed=seed)
    grow_veins(builder, head=head, config=config, seed=seed)
    return GrownAnatomy(head=head, vessels=builder.build(), seed=seed)
