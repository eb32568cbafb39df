# SPDX-License-Identifier: Apache-2.0
"""The networks of the alternatives are of the bundle's architecture, whoever trained them."""

import pytest
import torch

from aminet_benchmarks.twins import make_twins
from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.engines.openvino_import import shared_core
from aminet_train.checkpoint import load_model

SHAPE_OF = ("probabilities", "evidence")


@pytest.fixture(scope="module")
def bundle():
    return Bundle.open(default_bundle_path())


@pytest.fixture(scope="module")
def twins(bundle, tmp_path_factory):
    return make_twins(bundle, None, tmp_path_factory.mktemp("twins"))


def test_an_untrained_twin_answers_in_the_shapes_of_the_bundle(bundle, twins):
    height, width = bundle.metadata.input.network_size_px
    shape = [1, bundle.metadata.input.planes, height, width]
    ours = shared_core().read_model(model=bundle.model_xml, weights=bundle.model_bin)
    theirs = shared_core().read_model(str(twins.onnx))
    for model in (ours, theirs):
        model.reshape(shape)
    assert [list(ours.output(name).shape) for name in SHAPE_OF] == [
        list(theirs.output(name).shape) for name in SHAPE_OF
    ]
    assert not twins.trained_onnx


def test_torch_sees_whole_slices_at_the_size_of_the_report(bundle, twins):
    info, model = load_model(twins.checkpoint)
    assert (info.preprocessing.size_px, info.preprocessing.margin_px) == ((224, 224), (0, 0))
    assert info.preprocessing.channels == bundle.metadata.input.channels
    with torch.no_grad():
        _probabilities, evidence = model(torch.zeros(1, bundle.metadata.input.planes, 512, 512))
    assert evidence.shape == (1, 15, 56, 56)  # a map of stride 4, as the bundle's
    assert not twins.trained_torch
