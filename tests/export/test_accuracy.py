# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from aminet_export.accuracy import Decided, Drop, f1_drops, largest_drop
from aminet_export.gate import exceeds, require_accuracy, require_findings, require_float_agreement
from aminet_export.layers import LayerGain
from aminet_runtime.errors import GateFailed
from aminet_runtime.metadata import Precision
from aminet_train.levels import Level
from aminet_train.thresholds import ChosenRule

RULE = ChosenRule((0.5,) * 15, 0.5, 1)


@pytest.fixture
def labels():
    generator = np.random.default_rng(0)
    return [(generator.random((12, 15)) < 0.1).astype(np.uint8) for _ in range(20)]


def scores_of(labels, *, missed=0):
    """Say what is true, but for the first pairs of the first patients."""
    scores = [0.1 + 0.8 * patient.astype(np.float32) for patient in labels]
    for patient in scores[:missed]:
        patient[:] = 0.1
    return scores


def test_a_system_loses_nothing_against_itself(labels):
    same = Decided(scores_of(labels), RULE)

    drops = f1_drops(same, same, labels)

    assert all((d.reference, d.drop, d.low, d.high) == (1, 0, 0, 0) for d in drops.values())


def test_each_system_is_judged_by_its_own_thresholds(labels):
    halved = [patient / 2 for patient in scores_of(labels)]
    own = ChosenRule((0.25,) * 15, 0.25, 1)

    drops = f1_drops(Decided(scores_of(labels), RULE), Decided(halved, own), labels)

    assert largest_drop(drops) == 0


def test_drop_has_an_interval_around_it(labels):
    worse = Decided(scores_of(labels, missed=4), RULE)

    drop = f1_drops(Decided(scores_of(labels), RULE), worse, labels)[Level.SLICE]

    assert drop.low < drop.drop < drop.high
    assert drop.low >= 0  # no draw of patients makes the worse system better


def test_pairing_takes_out_what_is_hard_for_both(labels):
    """Both miss the same six patients: F1 varies over draws, the drop does not."""
    first = Decided(scores_of(labels, missed=6), RULE)

    drop = f1_drops(first, first, labels)[Level.PATIENT]

    assert (drop.low, drop.high) == (0, 0)


def drops(loss, *, low=0.0, high=0.2):
    return {
        Level.SLICE: Drop(0.9, 0.9, 0.0, 0.0),
        Level.PATIENT: Drop(0.9, 0.9 - loss, low, high),
    }


def judge(loss, *, precision=Precision.INT8, **interval):
    require_accuracy(
        drops(loss, **interval),
        max_drop=0.01,
        patients=40,
        precision=precision,
        worst=[LayerGain(name, 0.1) for name in ("first", "second", "third", "fourth")],
    )


def test_gate_lets_a_small_loss_pass():
    judge(0.0099)


def test_gate_refuses_with_figures_interval_and_worst_layers():
    with pytest.raises(GateFailed) as refused:
        judge(0.05, low=0.02)

    message = str(refused.value)
    assert refused.value.exit_code == 23
    assert "int8 loses more than 0.01 of F1 on 40 test patients" in message
    assert (
        "patient level F1 0.900 to 0.850, a drop of 0.050 (95 % interval 0.020 to 0.200)" in message
    )
    assert "most of the error is made by first, second, third" in message
    assert "ship fp16 or fp32" in message


def test_gate_refuses_a_float_network_that_finds_nothing():
    blind = {Level.SLICE: Drop(0.9, 0.9, 0, 0), Level.PATIENT: Drop(0.0, 0.0, 0, 0)}

    with pytest.raises(GateFailed, match="finds nothing on 5 test patients at patient level"):
        require_findings(blind, patients=5)


def test_gate_tells_too_few_patients_from_a_loss():
    with pytest.raises(GateFailed, match="measure on more test patients"):
        judge(0.05, low=-0.02)


@pytest.mark.parametrize("low", [0.02, -0.02])
def test_gate_advises_a_precision_that_loses_less(low):
    with pytest.raises(GateFailed, match=r"ship fp32") as refused:
        judge(0.05, low=low, precision=Precision.FP16)
    assert "ship fp16" not in str(refused.value)


def test_a_gain_at_one_level_does_not_pay_for_a_loss_at_the_other():
    uneven = {Level.SLICE: Drop(0.5, 0.9, -0.5, 0.0), Level.PATIENT: Drop(0.9, 0.88, 0.0, 0.1)}

    assert exceeds(uneven, 0.01)


def test_a_loss_that_cannot_be_told_exceeds_every_allowance():
    assert exceeds(drops(float("nan")), 1.0)


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_float_engines_must_agree(difference):
    require_float_agreement(1e-5, ["ONNX", "IR float"])
    with pytest.raises(GateFailed, match="ONNX and IR float differ"):
        require_float_agreement(difference, ["ONNX", "IR float"])
