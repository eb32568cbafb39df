# SPDX-License-Identifier: Apache-2.0
"""Anatomy: what a source of heads has to deliver, and the grown one."""

from dataclasses import dataclass

from aminet_benchmarks.phantom.arteries import grow_arteries
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.head import HeadShape, draw_head
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.veins import grow_veins
from aminet_benchmarks.phantom.vessels import GraphBuilder, VesselGraph


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One head before the scanner, in the head frame (MNI mm).

    Attributes:
        head: Surfaces of skull, brain and air spaces.
        vessels: Arteries and veins.
    """

    head: HeadShape
    vessels: VesselGraph


def grow_anatomy(seed: int, config: PhantomConfig) -> Anatomy:
    """Grow a head and its vessels from nothing but a seed."""
    head = draw_head(stream(seed, "head"), config)
    builder = GraphBuilder()
    grow_arteries(builder, head=head, config=config, seed=seed)
    grow_veins(builder, head=head, config=config, seed=seed)
    return Anatomy(head=head, vessels=builder.build())
