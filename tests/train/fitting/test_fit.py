# SPDX-License-Identifier: Apache-2.0
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from aminet_runtime.errors import InputInconsistent, ModelIncompatible, UsageError
from aminet_train.checkpoint import LEARNED_BEFORE, load_info, load_network, save_checkpoint
from aminet_train.cohort.patients import gather_patients
from aminet_train.cohort.splits import Split
from aminet_train.commands.evaluate import main as evaluate_main
from aminet_train.commands.train import main as train_main
from aminet_train.fitting.config import ScheduleConfig, TrainConfig
from aminet_train.fitting.dataset import SliceDataset
from aminet_train.fitting.fit import train
from aminet_train.fitting.losses import LossConfig
from aminet_train.fitting.starting_network import random_network, starting_network
from aminet_train.judging.evaluate import score_patient
from aminet_train.judging.evaluation import evaluate_checkpoint
from aminet_train.networks import Approach, build_network
from aminet_train.networks.heads import Head
from aminet_train.networks.mobilenetv2 import MobileNetV2Config
from aminet_train.networks.simple_cnn import SimpleCnnConfig


@pytest.fixture(scope="module")
def config(prepared_cohort) -> TrainConfig:
    return TrainConfig(
        data=(prepared_cohort.root,),
        approach=Approach.SIMPLE_CNN,
        network=SimpleCnnConfig(features=32, extra_layers=0),
        weights="none",
        schedule=ScheduleConfig(epochs=12, frozen_epochs=0, batch_size=16, learning_rate=2e-3),
    )


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    return train(config, tmp_path_factory.mktemp("runs") / "run")


def test_learns_bright_squares_on_unseen_patients(trained, prepared_cohort):
    report = evaluate_checkpoint(trained, [prepared_cohort.root], Split.TEST)
    assert report["patients"] == 4
    assert report["slice"]["f1"] > 0.7  # four patients: each flags five slices alike, or none


def test_same_seed_trains_the_same_network(config, tmp_path):
    short = replace(config, schedule=replace(config.schedule, epochs=2))
    runs = [train(short, tmp_path / name) for name in ("first", "second")]
    weights = [folder / "network.safetensors" for folder in runs]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_checkpoint_tells_config_versions_and_data(trained):
    training = load_info(trained).training
    assert training["config"]["schedule"]["epochs"] == 12
    assert training["data"]["train"]["count"] == 13
    assert "torch" in training["versions"]
    assert training["validation"]["patients"] == 3


@pytest.mark.parametrize("dropout", [SimpleCnnConfig().dropout, 0.0])
def test_goes_on_from_a_checkpoint(config, trained, dropout):
    cohort, patients = gather_patients(config.data)
    onward = replace(config, start_from=trained, network=replace(config.network, dropout=dropout))
    network = starting_network(onward, cohort.preprocessing, SliceDataset(patients[Split.TRAIN]))
    expected = load_network(trained, load_info(trained))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected.state_dict()[name])
    assert network.training


def test_knows_what_the_network_to_start_from_has_learned(config, trained, tmp_path):
    onward = replace(config, start_from=trained, schedule=replace(config.schedule, epochs=1))
    info = load_info(train(onward, tmp_path / "run"))
    assert info.training[LEARNED_BEFORE] == sorted(load_info(trained).learned)
    assert info.learned == load_info(trained).learned  # the same cohort again
    assert not info.leaking


def test_a_network_that_began_with_leaking_weights_stays_leaking(config, trained, tmp_path):
    info = replace(load_info(trained), leaking=True)
    save_checkpoint(tmp_path / "leaking", load_network(trained, info), info)
    onward = replace(config, schedule=replace(config.schedule, epochs=1))
    run = train(replace(onward, start_from=tmp_path / "leaking"), tmp_path / "run")
    assert load_info(run).leaking


def test_does_not_go_on_from_a_network_that_has_seen_held_out_patients(config, trained, tmp_path):
    _cohort, patients = gather_patients(config.data)
    seen = patients[Split.TEST][0]
    info = load_info(trained)
    info = replace(info, training={**info.training, LEARNED_BEFORE: [seen.fingerprint]})
    save_checkpoint(tmp_path / "before", load_network(trained, info), info)
    with pytest.raises(InputInconsistent, match=f"from test patient {seen.patient_id}"):
        train(replace(config, start_from=tmp_path / "before"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_does_not_go_on_from_another_network(config, trained):
    cohort, patients = gather_patients(config.data)
    other = replace(config, start_from=trained, network=SimpleCnnConfig(features=64))
    with pytest.raises(ModelIncompatible, match="the checkpoint is of SimpleCnnConfig"):
        starting_network(other, cohort.preprocessing, SliceDataset(patients[Split.TRAIN]))


def test_goes_on_at_another_size_where_the_network_takes_any(config, trained, tmp_path):
    cohort, patients = gather_patients(config.data)
    training = SliceDataset(patients[Split.TRAIN])
    other_size = replace(cohort.preprocessing, size_px=(96, 80))
    convolutional = replace(
        config,
        approach=Approach.MOBILENETV2,
        network=MobileNetV2Config(),
        start_from=tmp_path / "a",
    )
    info = replace(load_info(trained), approach=Approach.MOBILENETV2, network=convolutional.network)
    save_checkpoint(tmp_path / "a", random_network(convolutional, cohort.preprocessing), info)

    assert starting_network(convolutional, other_size, training).training
    with pytest.raises(ModelIncompatible, match=r"size_px=\(64, 64\)"):
        starting_network(replace(config, start_from=trained), other_size, training)


def test_masks_teach_small_inputs_too(config, tmp_path):
    """At 64 px the map is 4 x 4, the clot cells are 14 x 14."""
    dense = replace(
        config,
        approach=Approach.MOBILENETV2,
        network=MobileNetV2Config(head=Head.DENSE),
        schedule=replace(config.schedule, epochs=1, frozen_epochs=1),
        loss=LossConfig(mask_weight=0.1),
    )
    checkpoint = train(dense, tmp_path / "dense")
    assert load_info(checkpoint).training["config"]["loss"]["mask_weight"] == 0.1


def test_refuses_a_folder_that_has_a_run(config, trained):
    with pytest.raises(UsageError, match="there is a run in this folder; go on with --resume"):
        train(config, trained.parent)


def test_refuses_cohorts_that_share_a_scan_over_splits(prepared_cohort, tmp_path):
    twin = tmp_path / "twin"
    shutil.copytree(prepared_cohort.root, twin)
    splits = json.loads((twin / "splits.json").read_text())
    splits["train"], splits["test"] = splits["test"], splits["train"]
    splits["validation"] = []  # these would be there twice
    (twin / "splits.json").write_text(json.dumps(splits))
    with pytest.raises(InputInconsistent, match="are the same scan"):
        gather_patients([prepared_cohort.root, twin])


def test_scores_do_not_depend_on_the_stride(prepared_cohort):
    network = build_network(SimpleCnnConfig(), in_channels=1, size_px=(64, 64))
    patient = prepared_cohort.patient(prepared_cohort.patient_ids()[0])
    every = score_patient(network, patient)
    # batches of other sizes may sum in another order
    np.testing.assert_allclose(score_patient(network, patient, stride=3), every[::3], atol=1e-6)


def test_commands_train_and_evaluate(prepared_cohort, tmp_path, capsys):
    run = tmp_path / "run"
    code = train_main(
        [
            *("--model", "simple_cnn", "--data", str(prepared_cohort.root), "--run", str(run)),
            *("--epochs", "1", "--frozen-epochs", "0"),
        ]
    )
    assert code == 0
    assert capsys.readouterr().out.strip() == str(run / "checkpoint")
    arguments = [str(run / "checkpoint"), "--data", str(prepared_cohort.root)]
    assert evaluate_main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["split"] == "test"
    assert {"tp", "fp", "fn", "tn", "f1_ci95"} <= set(report["slice"])
    assert evaluate_main(arguments) == 0
    assert "Results on 4 test patients" in capsys.readouterr().out


def test_errors_are_one_line_and_an_exit_code(tmp_path, capsys):
    code = train_main(["--model", "simple_cnn", "--data", str(tmp_path / "absent")])
    assert code == 10
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("aminet-train: error[E1000]: prepared.json: there is no prepared")
    assert printed.err.count("\n") == 1
