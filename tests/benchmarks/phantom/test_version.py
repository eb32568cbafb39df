# SPDX-License-Identifier: Apache-2.0
"""What a version of the generator has promised: these facts change only with its number."""

import numpy as np
import pytest

from aminet_benchmarks.phantom import source as phantom_source
from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.grid import draw_grid, draw_pose
from aminet_benchmarks.phantom.randomness import stream
from aminet_benchmarks.phantom.source import PhantomSource
from aminet_benchmarks.phantom.version import GENERATOR_VERSION
from aminet_runtime.patient import Channel

REGIONS = {0: [1, 3], 1: [2, 4, 10], 3: [0, 1, 7, 14], 7: [4]}
HARD_SLICES = {0: 257, 1: 238, 2: 250, 3: 217}
MEANS_HU = {1: -542.811, 2: -541.636, 3: -542.713}


def test_these_facts_belong_to_this_version():
    assert GENERATOR_VERSION == 5, "read the new facts off and write them here"


@pytest.mark.parametrize("seed", REGIONS)
def test_truth_of_known_seeds_stays(draw, seed):
    assert np.flatnonzero(draw(seed).labels.any(axis=0)).tolist() == REGIONS[seed]


def test_voxels_of_a_known_slice_stay(patient):
    """Means over 11,648 voxels; roundings differ between machines by less than 0.01 HU."""
    rendered = patient.slice(24)

    for phase, mean in MEANS_HU.items():
        assert rendered.phases[phase - 1].mean() == pytest.approx(mean, abs=0.01)


@pytest.mark.parametrize("seed", HARD_SLICES)
def test_slices_of_known_seeds_stay_in_hard(seed):
    config = preset_config("hard")
    pose = draw_pose(stream(seed, "pose"), config)

    assert draw_grid(stream(seed, "grid"), config, pose).shape == (512, 512, HARD_SLICES[seed])


def test_prepared_phantoms_of_another_version_have_another_fingerprint(patient, monkeypatch):
    source = PhantomSource(patient, "p", (Channel.CTA1,))
    before = source.about().fingerprint

    monkeypatch.setattr(phantom_source, "GENERATOR_VERSION", GENERATOR_VERSION + 1)

    assert source.about().fingerprint != before
