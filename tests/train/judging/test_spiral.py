# SPDX-License-Identifier: Apache-2.0
import numpy as np
import onnxruntime
import pytest
import torch

from aminet_runtime.errors import InputMissing, UsageError
from aminet_runtime.patient import Channel
from aminet_train.checkpoint import load_info, load_model
from aminet_train.commands.train import main as train_main
from aminet_train.judging.spiral import fit_threshold, spiral_scores, sweep_table, train_spiral
from aminet_train.networks import Approach
from aminet_train.networks.spiral import SpiralConfig, SpiralMaximum


def planes(seed: int = 0, shape: tuple[int, int, int] = (3, 40, 56)) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    spiral = generator.random(shape, dtype=np.float32)
    atlas = generator.integers(0, 14, shape).astype(np.float32)  # region 14 is in no slice
    return torch.from_numpy(np.stack([spiral, atlas], axis=1))


def test_scores_are_the_maxima_of_a_loop_over_regions():
    slices = planes()
    probabilities, evidence = SpiralMaximum(SpiralConfig())(slices)
    spiral, atlas = slices.numpy()[:, 0], slices.numpy()[:, 1]
    for number in range(3):
        for region in range(15):
            inside = spiral[number][atlas[number] == region]
            assert probabilities[number, region] == (inside.max() if inside.size else 0.0)
    assert tuple(evidence.shape) == (3, 15, 3, 4)
    assert torch.equal(evidence.amax(dim=(2, 3)), probabilities)


def test_onnx_runtime_gives_the_same_answers_at_any_size(tmp_path):
    path = tmp_path / "spiral.onnx"
    batch, height, width = (torch.export.Dim(name) for name in ("N", "H", "W"))
    torch.onnx.export(
        SpiralMaximum(SpiralConfig()).eval(),
        (planes(shape=(2, 64, 96)),),
        path,
        dynamo=True,
        external_data=False,
        opset_version=20,
        dynamic_shapes={"slices": {0: batch, 2: height, 3: width}},
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((1, 40, 56), (3, 64, 64), (2, 33, 47)):
        slices = planes(1, shape)
        found = session.run(None, {session.get_inputs()[0].name: slices.numpy()})
        expected = SpiralMaximum(SpiralConfig())(slices)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other.numpy())  # a maximum rounds nothing


def test_threshold_parts_affected_from_other_regions():
    labels = np.zeros((5, 15), np.uint8)
    labels[2, 3] = 1
    scores = np.full((5, 15), 0.3, np.float32)
    scores[2, 3] = 0.9
    rule = fit_threshold([scores], [labels])
    assert rule.patient_thresholds == (pytest.approx(0.6),) * 15
    assert rule.slice_threshold == pytest.approx(0.6)
    assert rule.min_consecutive_slices == 1


def test_a_threshold_is_never_zero():
    nothing = np.zeros((5, 15), np.float32)
    rule = fit_threshold([nothing], [np.ones((5, 15), np.uint8)])
    assert min(*rule.patient_thresholds, rule.slice_threshold) > 0


def test_sweep_has_the_rows_of_the_report():
    table = sweep_table([np.full((2, 15), 0.93, np.float32)], [np.ones((2, 15), np.uint8)])
    assert [row["threshold"] for row in table][-3:] == [0.8, 0.9, 0.95]
    assert [row["recall"] for row in table][-3:] == [1.0, 1.0, 0.0]


def test_checkpoint_is_read_like_that_of_a_network(cohort_with_spiral, tmp_path):
    checkpoint = train_spiral([cohort_with_spiral.root], tmp_path / "run")
    info, model = load_model(checkpoint)
    assert info == load_info(checkpoint)
    assert info.approach is Approach.SPIRAL
    assert info.preprocessing.channels == (Channel.SPIRAL, Channel.ATLAS)
    assert info.training["train"]["patient"]["f1"] > 0
    assert torch.equal(model(planes())[0], SpiralMaximum(SpiralConfig())(planes())[0])


def test_refuses_patients_without_a_map(prepared_cohort, tmp_path):
    patient = prepared_cohort.patient(prepared_cohort.patient_ids()[0])
    with pytest.raises(InputMissing, match="patient-00 has no SPIRAL map"):
        spiral_scores(patient)
    with pytest.raises(InputMissing, match="has no SPIRAL map"):
        train_spiral([prepared_cohort.root], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_refuses_a_run_that_has_a_checkpoint(cohort_with_spiral, tmp_path):
    train_spiral([cohort_with_spiral.root], tmp_path / "run")
    with pytest.raises(UsageError, match="has a checkpoint already"):
        train_spiral([cohort_with_spiral.root], tmp_path / "run")


def test_command_fits_the_threshold(cohort_with_spiral, tmp_path, capsys):
    arguments = ["--model", "spiral", "--run", str(tmp_path / "run")]
    assert train_main(arguments) == 2
    assert "add --data PREPARED" in capsys.readouterr().err
    assert train_main([*arguments, "--data", str(cohort_with_spiral.root)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "checkpoint")
