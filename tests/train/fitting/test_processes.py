# SPDX-License-Identifier: Apache-2.0
"""Two processes on one machine train on the whole data and speak with one voice."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from aminet_train.cohort.patients import gather_patients
from aminet_train.cohort.splits import Split
from aminet_train.fitting.batches import EpochBatches, Share
from aminet_train.fitting.dataset import SliceDataset
from aminet_train.fitting.resolve_config import resolve
from aminet_train.judging.evaluation import evaluate_checkpoint

PROGRAM = """\
import sys
from aminet_train.commands.train import main
sys.exit(main())
"""


def test_shares_of_a_batch_make_the_whole_batch(prepared_cohort):
    config = resolve({"model": "simple_cnn", "data": [str(prepared_cohort.root)]})
    _cohort, patients = gather_patients(config.data)
    training = SliceDataset(patients[Split.TRAIN])
    whole = list(EpochBatches(training, config, Share()).load(1))
    shares = [list(EpochBatches(training, config, Share(rank, 2)).load(1)) for rank in range(2)]
    for batch, first, second in zip(whole, *shares, strict=True):
        assert torch.equal(batch.images[0::2], first.images)
        assert torch.equal(batch.images[1::2], second.images)


def test_later_steps_of_an_epoch_are_those_of_the_whole_epoch(prepared_cohort):
    config = resolve({"model": "simple_cnn", "data": [str(prepared_cohort.root)]})
    config = replace(config, schedule=replace(config.schedule, batch_size=8))
    _cohort, patients = gather_patients(config.data)
    batches = EpochBatches(SliceDataset(patients[Split.TRAIN]), config, Share())
    later = list(batches.load(0, first_step=3))
    for whole, part in zip(list(batches.load(0))[3:], later, strict=True):
        assert torch.equal(whole.images, part.images)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["simple_cnn", "mobilenetv2"])
def test_two_processes_measure_the_whole_validation_data(prepared_cohort, tmp_path, model):
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    arguments = ["--model", model, "--weights", "none", "--devices", "2", "--epochs", "2"]
    arguments += ["--frozen-epochs", "1"] if model == "mobilenetv2" else ["--features", "32"]
    data = ["--data", str(prepared_cohort.root), "--run", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, str(program), *arguments, *data],
        capture_output=True,
        text=True,
        check=True,
    )
    checkpoint = tmp_path / "run" / "checkpoint"
    assert done.stdout.strip() == str(checkpoint)
    assert done.stderr.count("epoch 1/2") == 1
    claimed = json.loads((checkpoint / "checkpoint.json").read_text())["training"]["validation"]
    measured = evaluate_checkpoint(checkpoint, [prepared_cohort.root], Split.VALIDATION)
    assert measured["slice"]["tp"] + measured["slice"]["fn"] > 0
    for level in ("slice", "patient"):
        shared = claimed[level].keys() & measured[level].keys()
        assert {"tp", "fp", "fn", "tn", "f1", "f1_ci95", "average_precision"} <= shared
        for name in shared:
            # the same weights, scored in one process in the same batches
            np.testing.assert_allclose(measured[level][name], claimed[level][name], atol=1e-6)
