# SPDX-License-Identifier: Apache-2.0
"""The networks of the alternatives are of the bundle's architecture, whoever trained them."""

import torch

from aminet_benchmarks.twins import make_twins
from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.engines.openvino_import import shared_core
from aminet_train.checkpoint import load_model


def test_an_untrained_twin_answers_in_the_shapes_of_the_bundle(tmp_path):
    bundle = Bundle.open(default_bundle_path())
    height, width = bundle.metadata.input.network_size_px
    shape = [1, bundle.metadata.input.planes, height, width]
    theirs = shared_core().read_model(model=bundle.model_xml, weights=bundle.model_bin)
    theirs.reshape(shape)

    twins = make_twins(bundle, None, tmp_path, with_onnx=False)
    _info, model = load_model(twins.checkpoint)
    with torch.no_grad():
        answer = model(torch.zeros(shape))
    assert [list(one.shape) for one in answer] == [
        list(theirs.output(name).get_shape()) for name in ("probabilities", "evidence")
    ]
    assert not twins.trained_torch
    assert twins.onnx is None
