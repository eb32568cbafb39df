# SPDX-License-Identifier: Apache-2.0
"""The checkpoint of the repository, from which a training may go on."""

from pathlib import Path

import numpy as np
import pytest
import torch

import aminet_train
from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.selftest import read_selftest
from aminet_train.checkpoint import load_info, load_model

CHECKPOINT = Path(aminet_train.__file__).parents[1] / "checkpoints" / "mobilenetv2"


@pytest.fixture(scope="module")
def bundle():
    if not CHECKPOINT.is_dir():
        pytest.skip("the checkpoint lies in the repository, not in the wheel")
    return Bundle.open(default_bundle_path())


def test_it_has_learned_from_all_that_the_shipped_bundle_has_learned_from(bundle):
    assert load_info(CHECKPOINT).learned >= frozenset(bundle.metadata.data.training.fingerprints)


def test_it_sees_and_answers_nearly_as_the_shipped_bundle(bundle):
    """Of a slice alone, as that bundle sees it: what compares neighbours is left out."""
    info, model = load_model(CHECKPOINT)
    selftest = read_selftest(bundle)
    slices_hu = torch.from_numpy(selftest.slices_hu.astype(np.float32))
    with torch.inference_mode():
        look = model.network.look(model.alone.preprocessing(slices_hu))
        logits, _evidence = model.network.head.conclude(look)
    probabilities = logits.sigmoid()
    assert info.preprocessing.size_px == bundle.metadata.input.network_size_px
    # it learned further, and INT8 alone moves an answer by up to .36: nearly is what can be asked
    np.testing.assert_allclose(probabilities, selftest.probabilities, atol=0.4)
    assert float(np.abs(probabilities.numpy() - selftest.probabilities).mean()) < 0.05
