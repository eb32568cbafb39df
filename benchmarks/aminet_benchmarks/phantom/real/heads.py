# SPDX-License-Identifier: Apache-2.0
"""Heads of real anatomy, one for each seed."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.anatomy import GROWN, AnatomyOrigin
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.grid import ModelGrid
from aminet_benchmarks.phantom.randomness import band_noise, stream
from aminet_benchmarks.phantom.real.folder import open_folder
from aminet_benchmarks.phantom.real.missing import STANDARD_HEAD, grow_missing
from aminet_benchmarks.phantom.real.naming import NamedTree, name_tree
from aminet_benchmarks.phantom.real.plotting import plot_tree
from aminet_benchmarks.phantom.real.register import register_circle
from aminet_benchmarks.phantom.real.rooted import link
from aminet_benchmarks.phantom.real.selection import ALL_TREES, select_trees
from aminet_benchmarks.phantom.real.template import Border, HeadTemplate, build_template
from aminet_benchmarks.phantom.real.trunks import find_trunks
from aminet_benchmarks.phantom.real.warp import HeadWarp, draw_warp
from aminet_benchmarks.phantom.tissue import (
    FOLD_SIGMA,
    TEXTURE_SIGMA,
    Layer,
    TissueModel,
    fissures_mm,
    membranes_mm,
    nuclei_mm,
)
from aminet_benchmarks.phantom.vessels import GraphBuilder, VesselGraph

Field = NDArray[np.float32]

THICKEST_WALL_MM = 15.0
TEMPLATE_ATROPHY = 0.6  # the template is of older adults
VENTRICLE_MM_PER_ATROPHY = 2.0


@dataclass(frozen=True, slots=True)
class RealAnatomy:
    """A warped template with a warped traced tree.

    Attributes:
        vessels: Arteries and veins, in the head frame.
        origin: The tree, and whether it was mirrored.
        template: The head, in its own frame.
        warp: From the head frame to the template's.
        atrophy: 0 young to 1 old.
        seed: Seed of the patient, for the folds and the texture.
    """

    vessels: VesselGraph
    origin: AnatomyOrigin
    template: HeadTemplate
    warp: HeadWarp
    atrophy: float
    seed: int

    def tissue(self, grid: ModelGrid) -> TissueModel:
        """Return the borders of the tissues on a coarse grid."""
        points = self.warp.to_template_mm(grid.head_points_mm())
        borders = self.template.sample(points)
        head = replace(STANDARD_HEAD, atrophy=self.atrophy)
        fields = np.zeros((len(Layer), *grid.shape), np.float32)
        fields[Layer.SCALP] = borders[Border.SCALP]
        fields[Layer.VAULT] = np.maximum(borders[Border.SKULL], borders[Border.CAVITY])
        fields[Layer.BASE] = borders[Border.CAVITY]
        fields[Layer.EXTRA_BONE] = borders[Border.FACE_BONE]
        fields[Layer.AIR] = borders[Border.AIR]
        widened = np.float32(VENTRICLE_MM_PER_ATROPHY * (self.atrophy - TEMPLATE_ATROPHY))
        fields[Layer.VENTRICLE] = borders[Border.VENTRICLE] + widened
        fields[Layer.MEMBRANE] = membranes_mm(points)
        fields[Layer.NUCLEI] = nuclei_mm(points)
        fields[Layer.FISSURE] = np.maximum(borders[Border.CISTERN], fissures_mm(points, head))
        fields *= np.float32(grid.pose.scale.mean())
        fields[Layer.TEXTURE] = band_noise(
            stream(self.seed, "texture"), grid.shape, sigma=TEXTURE_SIGMA
        )
        fields[Layer.FOLDS] = band_noise(stream(self.seed, "folds"), grid.shape, sigma=FOLD_SIGMA)
        return TissueModel(
            grid=grid, fields=fields, skull_mm=0.0, atrophy=self.atrophy, base_mm=THICKEST_WALL_MM
        )

    def cavity_depth_mm(self, points: Field) -> Field:
        """Return the signed distance of points [..., 3] to the wall of the cranial cavity."""
        return self.template.sample_one(Border.CAVITY, self.to_atlas_mm(points))

    def to_atlas_mm(self, points: Field) -> Field:
        """Return where points [..., 3] of the head lie in the frame of the atlas.

        An atlas is registered to the head, so it follows the warp, but not the mirror: right stays
        right.
        """
        moved = self.warp.to_template_mm(points)
        return moved * np.array([-1, 1, 1], np.float32) if self.warp.mirrored else moved


@dataclass(frozen=True, slots=True)
class RealHeads:
    """A source of heads out of one anatomy folder.

    Attributes:
        trees: The trees in use, by name.
        template: The head template.
        fingerprint: Hash (hex) of the folder's content.
        trees_wanted: Which of its trees are in use.
    """

    trees: dict[str, NamedTree]
    template: HeadTemplate
    fingerprint: str
    trees_wanted: str

    def origin(self, seed: int) -> AnatomyOrigin:
        """Say which tree the patient of a seed has, and whether it is mirrored."""
        rng = stream(seed, "tree")
        names = sorted(self.trees)
        return AnatomyOrigin(
            kind="real",
            tree=names[int(rng.integers(len(names)))],
            mirrored=bool(rng.random() < 0.5),
            trees_wanted=self.trees_wanted,
            fingerprint=self.fingerprint,
        )

    def draw(self, seed: int, config: PhantomConfig) -> RealAnatomy:
        """Return the head of a seed."""
        origin = self.origin(seed)
        assert origin.tree is not None  # noqa: S101 - origin() has just named it
        builder = GraphBuilder()
        plot_tree(builder, self.trees[origin.tree])
        grow_missing(builder, template=self.template, config=config, seed=seed)
        warp = draw_warp(seed, mirrored=bool(origin.mirrored))
        age = float(stream(seed, "age").uniform(*config.age))
        return RealAnatomy(
            vessels=_warped(builder.build(), warp),
            origin=origin,
            template=self.template,
            warp=warp,
            atrophy=float(np.clip((age - 40) / 50, 0, 1)),
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class AnatomyRequest:
    """Which real anatomy to draw heads from; small enough to be sent to other processes.

    Attributes:
        folder: In the layout that docs/phantom.md describes.
        trees: Which of its trees to use, see `selection.select_trees`.
    """

    folder: Path
    trees: str = ALL_TREES

    def heads(self) -> RealHeads:
        """Return the source of heads; the folder is read once a process."""
        return open_heads(self.folder, self.trees)


def requested_anatomy(
    request: AnatomyRequest | None, seed: int, config: PhantomConfig
) -> RealAnatomy | None:
    """Return the real head of a seed, or None where none was asked for and one is to be grown."""
    return None if request is None else request.heads().draw(seed, config)


def requested_origin(request: AnatomyRequest | None, seed: int) -> AnatomyOrigin:
    """Say where the head of a seed comes from, without drawing it."""
    return GROWN if request is None else request.heads().origin(seed)


@lru_cache(maxsize=2)
def open_heads(folder: Path, trees_wanted: str = ALL_TREES) -> RealHeads:
    """Read an anatomy folder once a process.

    Args:
        folder: In the layout that docs/phantom.md describes.
        trees_wanted: Which trees to use, see `selection.select_trees`.

    Raises:
        InputError: Something in the folder does not fit.
        UsageError: `trees_wanted` names no trees.
    """
    content = open_folder(folder)
    named = {}
    for tree in select_trees(content.trees, trees_wanted):
        links = link(tree)
        trunks = find_trunks(links)
        named[tree.name] = name_tree(register_circle(links, trunks), trunks)
    return RealHeads(
        trees=named,
        template=build_template(content.images),
        fingerprint=content.fingerprint,
        trees_wanted=trees_wanted,
    )


def _warped(graph: VesselGraph, warp: HeadWarp) -> VesselGraph:
    """Push a graph of the template's frame into the head."""
    return replace(
        graph,
        points_mm=warp.to_head_mm(graph.points_mm),
        side=-graph.side if warp.mirrored else graph.side,
    )
