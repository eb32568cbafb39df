# SPDX-License-Identifier: Apache-2.0
"""Layers of a hand-made network: one of them is spoiled by quantising, the others are not."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from aminet_export.accuracy import Decided
from aminet_export.layers import quantised_layers, rank_layers, revert_layers
from aminet_export.restore import Validation, restore_accuracy
from aminet_runtime.engines.openvino_import import shared_core
from aminet_train.thresholds import choose_rule

LAYERS = ("first", "second", "third", "fourth")
REGIONS = 15
STEP = {"second": 4.0}
"""Coarse steps of one layer's activations, as an outlier among its weights would enforce."""


def network(*, quantised: bool) -> ov.Model:
    """Four dense layers; quantised, each has a quantiser in front and rounded weights."""
    generator = np.random.default_rng(0)
    values = slices = ops.parameter([-1, REGIONS], np.float32, name="slices")
    for name in LAYERS:
        weights = np.eye(REGIONS) + generator.normal(0, 0.05, (REGIONS, REGIONS))
        if quantised:
            values = _quantiser(values, STEP.get(name, 0.08))
            weights = np.round(weights, 2)
        layer = ops.matmul(values, ops.constant(weights.astype(np.float32)), False, False)
        layer.set_friendly_name(name)
        bias = np.full((1, REGIONS), 0.01 if quantised else 0.0, np.float32)
        values = ops.add(layer, ops.constant(bias))
    probabilities = ops.sigmoid(values)
    probabilities.output(0).get_tensor().set_names({"probabilities"})
    return ov.Model([probabilities], [slices], "four layers")


def _quantiser(values, step):
    low, high = np.float32(-127 * step), np.float32(128 * step)
    return ops.fake_quantize(values, low, high, low, high, 256)


def run(model, inputs):
    return shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(inputs)[0]


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(1).normal(0, 2, (64, REGIONS)).astype(np.float32)


@pytest.fixture(scope="module")
def models():
    return network(quantised=False), network(quantised=True)


def test_names_quantised_layers_in_order(models):
    reference, quantised = models

    assert quantised_layers(quantised) == list(LAYERS)
    assert quantised_layers(reference) == []


def test_ranks_the_spoiled_layer_first(models, inputs):
    reference, quantised = models

    ranking = rank_layers(quantised, reference, lambda model: run(model, inputs))

    assert ranking[0].name == "second"
    assert ranking[0].error_left < 0.2 * ranking[1].error_left


def test_all_layers_put_back_give_the_float_network(models, inputs):
    reference, quantised = models

    back = revert_layers(quantised, reference, LAYERS)

    assert quantised_layers(back) == []
    np.testing.assert_allclose(run(back, inputs), run(reference, inputs), atol=1e-6)  # float32


def test_putting_back_leaves_the_original_as_it_is(models, inputs):
    reference, quantised = models
    before = run(quantised, inputs)

    revert_layers(quantised, reference, LAYERS)

    np.testing.assert_array_equal(run(quantised, inputs), before)


@pytest.fixture
def validation(models, inputs):
    """Patients of eight slices; the truth is what the float network says."""
    reference, _quantised = models

    def score(model):
        return np.split(run(model, inputs).astype(np.float32), 8)

    scores = score(reference)
    labels = [(patient > 0.7).astype(np.uint8) for patient in scores]
    return Validation(score, labels, Decided(scores, choose_rule(scores, labels)), max_drop=0.02)


def without(models):
    reference, quantised = models
    return lambda names: revert_layers(quantised, reference, names)


def test_restores_accuracy_with_the_fewest_layers(models, inputs, validation):
    reference, quantised = models
    ranking = rank_layers(quantised, reference, lambda model: run(model, inputs))
    first = validation.judge(quantised)
    assert not validation.is_enough(first)

    restored = restore_accuracy(first, ranking, without(models), validation)

    assert restored.layers == ("second",)
    assert validation.is_enough(restored)


def test_gives_back_the_best_where_half_of_the_layers_are_not_enough(models, validation):
    reference, quantised = models
    first = validation.judge(quantised)
    ranking = [*rank_layers(quantised, reference, lambda m: run(m, np.ones((1, REGIONS))))]
    without_the_cause = [layer for layer in ranking if layer.name != "second"]

    restored = restore_accuracy(first, without_the_cause, without(models), validation)

    assert not validation.is_enough(restored)
    assert "second" not in restored.layers


def test_needs_no_attempt_where_nothing_is_lost(models, validation):
    reference, _quantised = models
    first = validation.judge(reference)

    assert restore_accuracy(first, [], without(models), validation) is first
