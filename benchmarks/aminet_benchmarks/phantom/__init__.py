# SPDX-License-Identifier: Apache-2.0
"""A digital phantom of multiphase CTA in stroke, grown from a seed.

Results on phantoms say nothing about patients.

    config      every knob, and the presets; version: of the generator
    randomness  independent random streams by name
    head        shape of a head as signed distances
    courses     usual course of the named vessels; curves: how they wind
    arteries    named arteries; willis: the circle and its variants
    growth      small arteries, grown to the surface; murray: radii
    veins       sinuses and veins
    vessels     the vessel graph
    anatomy     head and vessels: the seam for other sources
    real/       heads of real anatomy: template and traced trees
    grid        voxels, pose, coarse model grids
    stroke      clots
    flow        arrival and HU of the blood in three phases
    bolus       the contrast in time
    perfusion   blood in the tissue: feeding, unevenness
    spiral_map  the SPIRAL-like map
    atlas       15 regions
    tissue      borders of the tissues; tissue_hu: HU of a slice without vessels
    lumen       vessels drawn into a slice
    scanner     noise, head holder, misregistration; deposits: plaques and clips
    render      model to voxels
    patient     one patient, slice by slice
    files       the six files of a patient
    cohort      many patients, resumable; threads: one a process
    source      patients straight to prepared data; streamed: cohorts of them
    validate    figures beside real ones: figures, clot_figures, masks
    twins       a patient beside its clot-free twin; visible_change: the signal
    probe/      can regions be guessed without seeing a clot?
    pictures/   a sheet of patients, and what clots change
    cli         `aminet-phantom`, dispatch of its verbs
    commands/   the verbs

Arrays of a slice are canonical LPS [H, W]; model coordinates are RAS millimetres.
"""

from aminet_benchmarks.phantom.atlas import REGION_MIRROR, REGION_NAMES
from aminet_benchmarks.phantom.config import PhantomConfig, preset_config
from aminet_benchmarks.phantom.patient import PhantomPatient, make_patient
from aminet_benchmarks.phantom.render import PhantomSlice

__all__ = [
    "REGION_MIRROR",
    "REGION_NAMES",
    "PhantomConfig",
    "PhantomPatient",
    "PhantomSlice",
    "make_patient",
    "preset_config",
]
