# SPDX-License-Identifier: Apache-2.0
"""Where a slice is of one tissue through and through: the places to read HU and noise from."""

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.phantom.lumen import draw_lumen
from aminet_benchmarks.phantom.patient import PhantomPatient
from aminet_benchmarks.phantom.tissue import Layer, TissueModel
from aminet_benchmarks.phantom.tissue_hu import TABLE_MM, pial_depth_mm, wall_depth_mm
from aminet_benchmarks.phantom.vessels import Segment

Mask = NDArray[np.bool_]

CLEAR_MM = 2.0  # away from any other tissue
FULL_SHARE = 0.97  # of a pixel that lies in a vessel
ARTERIES = (Segment.ICA, Segment.M1, Segment.BASILAR)
SINUSES = (Segment.SINUS,)


def pure_masks(patient: PhantomPatient, index: int) -> dict[str, Mask]:
    """Return masks bool [H, W] of one slice: tissues without vessels, arteries, sinuses."""
    model = patient.renderer.model
    layers = patient.renderer.layers(index)
    columns, rows, _ = model.grid.shape
    masks = {}
    for name, inside in _tissues(layers.fields, model.tissue).items():
        masks[name] = np.full((rows, columns), name == "air", np.bool_)
        masks[name][layers.window.rows, layers.window.columns] = inside
    pixels, share, node = draw_lumen(model.beads, grid=model.grid, index=index)
    for mask in masks.values():
        mask.reshape(-1)[pixels] = False
    segment = patient.anatomy.vessels.segment
    deposits = len(model.node_clot) - len(segment)
    kind = np.concatenate([segment, np.full(deposits, -1, np.int8)])[node]
    is_full = (share > FULL_SHARE) & (model.node_clot[node] == 0)
    for name, group in (("arteries", ARTERIES), ("sinuses", SINUSES)):
        masks[name] = np.zeros((rows, columns), np.bool_)
        masks[name].reshape(-1)[pixels[is_full & np.isin(kind, group)]] = True
    return masks


def _tissues(fields: NDArray[np.float32], tissue: TissueModel) -> dict[str, Mask]:
    cavity = np.minimum(fields[Layer.VAULT], fields[Layer.BASE])
    pial = pial_depth_mm(fields, cavity, np.float32(tissue.atrophy))
    wall = wall_depth_mm(fields, tissue)
    others = (Layer.EXTRA_BONE, Layer.AIR, Layer.MEMBRANE, Layer.NUCLEI, Layer.FISSURE)
    is_clear = fields[list(others)].max(axis=0) < -CLEAR_MM
    in_brain = is_clear & (cavity > CLEAR_MM)
    in_matter = in_brain & (fields[Layer.VENTRICLE] < -CLEAR_MM)
    solid = np.maximum(fields[Layer.SCALP], fields[Layer.EXTRA_BONE])
    return {
        "grey matter": in_matter & (pial > 0.6) & (pial < 2.2),
        "white matter": in_matter & (pial > 5.0),
        "CSF": in_brain & (fields[Layer.VENTRICLE] > 0.8),
        "bone": is_clear & (wall > 0.5) & (wall < TABLE_MM),
        "diploe": is_clear & (wall > TABLE_MM + 0.8),
        "air": solid < -CLEAR_MM,
    }
