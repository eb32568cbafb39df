# SPDX-License-Identifier: Apache-2.0
"""One phantom patient: a small model, and its slices rendered on demand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.anatomy import Anatomy, grow_anatomy
from aminet_benchmarks.phantom.atlas import build_atlas
from aminet_benchmarks.phantom.bolus import draw_bolus
from aminet_benchmarks.phantom.config import PhantomConfig
from aminet_benchmarks.phantom.deposits import deposit_beads, draw_deposits
from aminet_benchmarks.phantom.flow import Flow, solve_flow
from aminet_benchmarks.phantom.grid import ModelGrid, Pose, ScanGrid, draw_grid, draw_pose
from aminet_benchmarks.phantom.lumen import join, string_beads, take
from aminet_benchmarks.phantom.perfusion import build_perfusion
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.render import PhantomSlice, RenderModel, SliceRenderer
from aminet_benchmarks.phantom.scanner import Scanner
from aminet_benchmarks.phantom.stroke import Clot, draw_clots
from aminet_runtime.regions import REGION_COUNT

Twin = Literal["self", "none", "mirror"]
PHASES = (1, 2, 3)
TISSUE_STEP_MM = 3.0
ATLAS_STEP_MM = 4.0
PERFUSION_STEP_MM = 8.0


@dataclass(frozen=True, slots=True)
class PhantomPatient:
    """A phantom patient; make one with `make_patient`.

    Attributes:
        seed: Seed of the patient.
        config: What it was drawn from.
        twin: `self`, or which twin this is.
        grid: Voxel grid in canonical order.
        anatomy: Head and vessels, in the head frame.
        clots: The truth.
        flow: The bolus, and the blood in each vessel.
        renderer: Draws slices, or only their clots or atlas.
    """

    seed: int
    config: PhantomConfig
    twin: Twin
    grid: ScanGrid
    anatomy: Anatomy
    clots: tuple[Clot, ...]
    flow: Flow
    renderer: SliceRenderer

    def slice(
        self, index: int, *, phases: tuple[int, ...] = PHASES, spiral: bool = True
    ) -> PhantomSlice:
        """Render one slice.

        Args:
            index: Number of the slice, 0 the lowest.
            phases: Which of the phases 1, 2, 3, in the order wanted.
            spiral: Whether to make the SPIRAL-like map, too.

        Raises:
            IndexError: There is no such slice.
            ValueError: There is no such phase.
        """
        return self.renderer.slice(index, phases=phases, spiral=spiral)

    def slices(
        self,
        indices: Iterable[int] | None = None,
        *,
        phases: tuple[int, ...] = PHASES,
        spiral: bool = True,
    ) -> Iterator[PhantomSlice]:
        """Render slices one by one, by default all of them from below."""
        for index in range(self.grid.shape[2]) if indices is None else indices:
            yield self.renderer.slice(index, phases=phases, spiral=spiral)

    @property
    def group(self) -> str | None:
        """What patients that are alike have in common: the traced tree, None if all is grown."""
        return self.anatomy.origin.tree

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The truth, uint8 [Z, 15], counted from clot and atlas voxels."""
        labels = np.zeros((self.grid.shape[2], REGION_COUNT), np.uint8)
        for index in self.renderer.clot_slices():
            clot = self.renderer.clot(index)
            if clot.any():
                labels[index, np.unique(self.renderer.atlas(index)[clot > 0])] = 1
        return labels


def make_patient(
    seed: int,
    config: PhantomConfig | None = None,
    *,
    twin: Twin = "self",
    anatomy: Anatomy | None = None,
) -> PhantomPatient:
    """Draw a patient.

    Args:
        seed: The same seed and configuration give the same voxels.
        config: What to draw from, the preset `report` by default.
        twin: `self`; `none` for the same head without clots; `mirror` with the clots in the
            same vessels of the other side.
        anatomy: A head from elsewhere; by default one is grown from the seed.
    """
    config = config or PhantomConfig()
    anatomy = anatomy or grow_anatomy(seed, config)
    pose = draw_pose(stream(seed, "pose"), config)
    grid = draw_grid(stream(seed, "grid"), config, pose)
    clots = _draw_stroke(anatomy, seed, config, twin)
    flow = solve_flow(
        anatomy.vessels,
        clots,
        bolus=draw_bolus(stream(seed, "bolus"), config),
        rng=stream(seed, "collaterals"),
    )
    patient = _Draft(seed=seed, config=config, grid=grid, pose=pose, anatomy=anatomy)
    return PhantomPatient(
        seed=seed,
        config=config,
        twin=twin,
        grid=grid,
        anatomy=anatomy,
        clots=clots,
        flow=flow,
        renderer=SliceRenderer(_render_model(patient, clots, flow)),
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a patient is before the stroke.

    Attributes:
        seed: Seed of the patient.
        config: What it was drawn from.
        grid: Voxel grid.
        pose: Pose of the head in it.
        anatomy: Head and vessels.
    """

    seed: int
    config: PhantomConfig
    grid: ScanGrid
    pose: Pose
    anatomy: Anatomy

    def model_grid(self, step_mm: float) -> ModelGrid:
        return ModelGrid(self.grid, pose=self.pose, step_mm=step_mm)


def _draw_stroke(
    anatomy: Anatomy, seed: int, config: PhantomConfig, twin: Twin
) -> tuple[Clot, ...]:
    if twin == "none":
        return ()
    rng = stream(seed, "stroke")
    return draw_clots(anatomy.vessels, rng, config, mirrored=twin == "mirror")


def _render_model(draft: _Draft, clots: tuple[Clot, ...], flow: Flow) -> RenderModel:
    """Lay all that the voxels follow from on coarse grids."""
    anatomy, config, seed = draft.anatomy, draft.config, draft.seed
    lumen = string_beads(anatomy.vessels, pose=draft.pose, grid=draft.grid)
    deposits = draw_deposits(anatomy.vessels, stream(seed, "deposits"), config)
    nodes = len(anatomy.vessels.radius_mm)
    grains = deposit_beads(deposits, first_node=nodes, pose=draft.pose, grid=draft.grid)
    return RenderModel(
        grid=draft.grid,
        pose=draft.pose,
        tissue=anatomy.tissue(draft.model_grid(TISSUE_STEP_MM)),
        atlas=build_atlas(
            draft.model_grid(ATLAS_STEP_MM), anatomy=anatomy, config=config, seed=seed
        ),
        perfusion=build_perfusion(
            draft.model_grid(PERFUSION_STEP_MM),
            anatomy=anatomy,
            flow=flow,
            config=config,
            seed=seed,
        ),
        beads=join(lumen, grains),
        metal=take(grains, deposits.is_metal),
        node_hu=np.hstack([flow.phase_hu, np.tile(deposits.hu, (3, 1))]),
        node_clot=_clot_values(clots, nodes + len(deposits.hu)),
        scanner=Scanner(draft.grid, config=config, seed=seed),
    )


def _clot_values(clots: tuple[Clot, ...], count: int) -> NDArray[np.uint8]:
    values = np.zeros(count, np.uint8)
    for clot in clots:
        values[clot.nodes] = clot.value
    return values
