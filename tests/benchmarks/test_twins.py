# SPDX-License-Identifier: Apache-2.0
"""The networks of the alternatives are of the bundle's architecture, whoever trained them."""

import pytest
import torch

from aminet_benchmarks.speed_bundle import SpeedBundlePlan, write_speed_bundle
from aminet_benchmarks.twins import make_twins
from aminet_benchmarks.untrained import UntrainedPlan
from aminet_runtime.bundle import Bundle, default_bundle_path
from aminet_runtime.engines.openvino_import import shared_core
from aminet_train.checkpoint import load_info, load_model
from aminet_train.networks import Approach
from aminet_train.preprocessing import PreprocessingConfig

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


@pytest.mark.parametrize("head", ["gap", "dense"])
def test_the_head_is_told_where_cells_of_the_evidence_are_cut(head, tmp_path):
    preprocessing = PreprocessingConfig.from_preset(
        "arterial", size_px=(192, 160), margin_px=(16, 32)
    )  # cells of 16 pixels with both
    network = UntrainedPlan(Approach.MOBILENETV2, preprocessing, settings={"head": head})
    write_speed_bundle(SpeedBundlePlan(network, tmp_path / "made", with_onnx=False))
    twins = make_twins(Bundle.open(tmp_path / "made"), None, tmp_path, with_onnx=False)
    assert load_info(twins.checkpoint).network.head == head
