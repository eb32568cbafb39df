# SPDX-License-Identifier: Apache-2.0
from dataclasses import fields, replace

import pytest

from aminet_benchmarks.phantom.config import HARD, PhantomConfig, preset_config
from aminet_runtime.errors import UsageError


def test_hard_differs_from_report_in_nothing_but_stated_knobs():
    report, hard = preset_config("report"), preset_config("hard")

    differing = {f.name for f in fields(report) if getattr(report, f.name) != getattr(hard, f.name)}

    assert differing == {*HARD, "preset"}


def test_every_knob_is_documented():
    text = PhantomConfig.__doc__ or ""

    missing = [knob.name for knob in fields(PhantomConfig) if f"        {knob.name}:" not in text]

    assert missing == []


def test_rejects_unknown_preset_by_name():
    with pytest.raises(UsageError, match="preset 'easy' is unknown; use report or hard"):
        preset_config("easy")


@pytest.mark.parametrize("shape", [(0, 512, 257), (512, 512, 4), (512, 512, 4096)])
def test_rejects_shapes_that_cannot_be_made(shape):
    with pytest.raises(UsageError, match="is outside of"):
        preset_config("report", shape=shape)


def test_stated_shape_overrules_the_range_of_slices():
    config = preset_config("hard", shape=(48, 40, 16))

    assert (config.matrix, config.slice_count) == ((48, 40), (16, 16))


def test_rejects_weights_of_the_wrong_number_or_sign():
    with pytest.raises(UsageError, match="collateral_weights must be 6 weights"):
        replace(PhantomConfig(), collateral_weights=(1.0,))
    with pytest.raises(UsageError, match="clot_count_weights must be 4 weights"):
        replace(PhantomConfig(), clot_count_weights=(1.0, -1.0, 0.0, 0.0))


def test_rejects_ranges_upside_down():
    with pytest.raises(UsageError, match="noise_sd_hu"):
        replace(PhantomConfig(), noise_sd_hu=(9.0, 6.0))
    with pytest.raises(UsageError, match="slice_count"):
        replace(PhantomConfig(), slice_count=(260, 200))
