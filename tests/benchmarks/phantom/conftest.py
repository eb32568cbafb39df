# SPDX-License-Identifier: Apache-2.0
"""Small phantoms for the tests: a full head on a coarse grid, made once a session."""

from collections.abc import Callable

import pytest

from aminet_benchmarks.phantom.config import PhantomConfig, preset_config
from aminet_benchmarks.phantom.patient import PhantomPatient, make_patient

SHAPE = (112, 104, 48)
SEED_WITH_CLOTS = 3


@pytest.fixture(scope="session")
def config() -> PhantomConfig:
    return preset_config("report", shape=SHAPE)


@pytest.fixture(scope="session")
def draw(config) -> Callable[..., PhantomPatient]:
    """Make patients, each once."""
    made: dict[tuple[object, ...], PhantomPatient] = {}

    def make(seed: int = SEED_WITH_CLOTS, *, twin: str = "self", preset: str = "report"):
        key = (seed, twin, preset)
        if key not in made:
            chosen = config if preset == "report" else preset_config(preset, shape=SHAPE)
            made[key] = make_patient(seed, chosen, twin=twin)
        return made[key]

    return make


@pytest.fixture(scope="session")
def patient(draw) -> PhantomPatient:
    """A patient with clots in more than one region."""
    return draw()
