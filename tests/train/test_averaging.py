# SPDX-License-Identifier: Apache-2.0
import shutil
from dataclasses import replace

import pytest
import torch

from aminet_runtime.errors import InputInconsistent, InputMissing, ModelIncompatible, UsageError
from aminet_train.averaging import average_checkpoints
from aminet_train.checkpoint import LEARNED_BEFORE, load_info, load_network, save_checkpoint
from aminet_train.cohort.patients import gather_patients
from aminet_train.cohort.splits import Split, Splits, write_splits
from aminet_train.commands.train import main
from aminet_train.networks import Approach, build_network
from aminet_train.networks.mobilenetv2 import MobileNetV2Config


@pytest.fixture
def simple_cnn(write_network, tmp_path):
    return write_network(tmp_path / "runs" / "other" / "checkpoint", seed=3)


@pytest.fixture
def write_member(simple_cnn, tmp_path):
    """Write a checkpoint of MobileNetV2 with random weights, as the run that its folder names."""
    about = load_info(simple_cnn)

    def write(name, *, seed, learned=(), **changes):
        torch.manual_seed(seed)
        config = MobileNetV2Config()
        network = build_network(config, in_channels=1, size_px=about.preprocessing.size_px)
        batch_norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        batch_norms[0].running_mean.fill_(seed)
        batch_norms[0].num_batches_tracked.fill_(seed)
        training = {"data": {"train": {"fingerprints": list(learned)}}}
        info = replace(about, approach=Approach.MOBILENETV2, network=config, training=training)
        folder = tmp_path / "runs" / name / "checkpoint"
        save_checkpoint(folder, network, replace(info, **changes))
        return folder

    return write


@pytest.fixture
def members(write_member):
    return [write_member("a", seed=1, learned=["p"]), write_member("b", seed=4, learned=["q"])]


def test_weights_and_statistics_are_averaged_and_counts_are_the_first_ones(
    members, prepared_cohort, tmp_path
):
    folder = average_checkpoints(members, [prepared_cohort.root], tmp_path / "mean")

    first, second, mean = (load_network(m, load_info(m)).state_dict() for m in (*members, folder))
    for name, tensor in mean.items():
        expected = (first[name] + second[name]) / 2 if tensor.is_floating_point() else first[name]
        torch.testing.assert_close(tensor, expected)
    assert {int(mean[name].min()) for name in mean if "num_batches" in name} == {0, 1}


def test_knows_what_its_members_have_learned_and_who_they_were(members, prepared_cohort, tmp_path):
    info = load_info(average_checkpoints(members, [prepared_cohort.root], tmp_path / "mean"))
    assert info.learned == {"p", "q"}
    assert info.training["config"] == {"averaged": ["a", "b"]}
    assert info.training["validation"]["patients"] == 3
    assert not info.leaking


def test_a_checkpoint_that_left_its_run_is_named_by_its_own_folder(
    members, prepared_cohort, tmp_path
):
    moved = tmp_path / "best"
    shutil.copytree(members[0], moved)
    folder = average_checkpoints([moved, members[1]], [prepared_cohort.root], tmp_path / "mean")
    assert load_info(folder).training["config"] == {"averaged": ["best", "b"]}


def test_a_mean_with_a_leaking_member_is_leaking(write_member, prepared_cohort, tmp_path):
    members = [write_member("a", seed=1), write_member("b", seed=2, leaking=True)]
    folder = average_checkpoints(members, [prepared_cohort.root], tmp_path / "mean")
    assert load_info(folder).leaking


def test_command_prints_the_checkpoint(members, prepared_cohort, tmp_path, capsys):
    run, data = tmp_path / "mean", str(prepared_cohort.root)
    words = ["--members", *map(str, members), "--data", data, "--run", str(run)]
    assert main(["--model", "average", *words]) == 0
    assert capsys.readouterr().out == f"{run}/checkpoint\n"
    assert main(["--model", "average", *words]) == 2
    assert "this run has a checkpoint already" in capsys.readouterr().err


def test_patients_may_be_scored_in_bfloat16_and_the_mean_stays_float32(
    members, prepared_cohort, tmp_path
):
    options = ["--members", *map(str, members), "--data", str(prepared_cohort.root)]
    runs = [tmp_path / "whole", tmp_path / "half"]
    for run, precision in zip(runs, ("32-true", "bf16-mixed"), strict=True):
        asked = ["--run", str(run), "--precision", precision]
        assert main(["--model", "average", *options, *asked]) == 0
    whole, half = (load_info(run / "checkpoint") for run in runs)
    assert whole.training["validation"] != half.training["validation"]
    weights = [load_network(run / "checkpoint", half).state_dict() for run in runs]
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no patients choose the rule of the mean; add --data"),
        (["--learning-rate", "1e-3"], "--learning-rate: --model average has no use for it"),
        (["--config", "settings.toml", "--map-stride", "4"], "--map-stride, --config: --model"),
    ],
)
def test_refuses_what_changes_nothing_and_what_is_missing(members, words, message, capsys):
    assert main(["--model", "average", "--members", *map(str, members), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("count", [0, 1, 2])
def test_refuses_less_than_two_checkpoints(members, prepared_cohort, tmp_path, count):
    with pytest.raises(UsageError, match="one checkpoint has no mean"):
        average_checkpoints(members[:1] * count, [prepared_cohort.root], tmp_path / "mean")


def test_refuses_checkpoints_of_different_networks(members, simple_cnn, prepared_cohort, tmp_path):
    with pytest.raises(ModelIncompatible, match="of another network than a"):
        average_checkpoints([*members, simple_cnn], [prepared_cohort.root], tmp_path / "mean")


def test_members_may_have_learned_with_another_dropout(write_member, prepared_cohort, tmp_path):
    networks = [MobileNetV2Config(dropout=0.0), MobileNetV2Config(dropout=0.5)]
    members = [write_member(f"d{n.dropout}", seed=1, network=n) for n in networks]
    folder = average_checkpoints(members, [prepared_cohort.root], tmp_path / "mean")
    assert load_info(folder).network == networks[0]


def test_refuses_a_member_that_has_seen_held_out_patients(write_member, prepared_cohort, tmp_path):
    _cohort, patients = gather_patients([prepared_cohort.root])
    seen = patients[Split.TEST][0]
    members = [
        write_member("a", seed=1),
        write_member("b", seed=2, training={LEARNED_BEFORE: [seen.fingerprint]}),
    ]
    with pytest.raises(
        InputInconsistent, match=f"member b has learned from test patient {seen.patient_id}"
    ):
        average_checkpoints(members, [prepared_cohort.root], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_refuses_cohorts_of_another_size(write_member, prepared_cohort, tmp_path):
    other = replace(prepared_cohort.preprocessing, size_px=(96, 96))
    members = [write_member(name, seed=1, preprocessing=other) for name in ("a", "b")]
    with pytest.raises(InputInconsistent, match="not prepared as any of the checkpoints sees"):
        average_checkpoints(members, [prepared_cohort.root], tmp_path / "mean")


def test_a_member_may_have_seen_slices_at_another_size(write_member, prepared_cohort, tmp_path):
    other = replace(prepared_cohort.preprocessing, size_px=(96, 96))
    members = [write_member("a", seed=1, preprocessing=other), write_member("b", seed=2)]
    folder = average_checkpoints(members, [prepared_cohort.root], tmp_path / "mean")
    assert load_info(folder).preprocessing == prepared_cohort.preprocessing


def test_refuses_weights_that_grow_with_the_size(write_network, prepared_cohort, tmp_path):
    members = [write_network(tmp_path / name / "checkpoint", seed=1) for name in ("a", "b")]
    info = load_info(members[0])
    wider = replace(info.preprocessing, size_px=(96, 96))
    network = build_network(info.network, in_channels=1, size_px=wider.size_px)
    save_checkpoint(members[0], network, replace(info, preprocessing=wider))
    with pytest.raises(ModelIncompatible, match="grow with the size of its input"):
        average_checkpoints(members, [prepared_cohort.root], tmp_path / "mean")


def test_refuses_cohorts_without_validation_patients(members, prepared_cohort, tmp_path):
    root = tmp_path / "prepared"
    shutil.copytree(prepared_cohort.root, root)
    write_splits(root, Splits({Split.TRAIN: tuple(prepared_cohort.patient_ids())}))
    with pytest.raises(InputMissing, match="no validation patients"):
        average_checkpoints(members, [root], tmp_path / "mean")
