# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
import torch

from aminet_benchmarks.phantom.atlas import REGION_MIRROR
from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.phantom.patient import make_patient
from aminet_benchmarks.phantom.probe.baselines import commonest_at_height, commonest_regions
from aminet_benchmarks.phantom.probe.examples import CONTROL, MASKED, SHOWN, probe_patient
from aminet_benchmarks.phantom.probe.masking import Surroundings, vessel_mask
from aminet_benchmarks.phantom.probe.networks import Table, guess_from_features, guess_from_images
from aminet_benchmarks.phantom.probe.pose import FEATURES, pose_features
from aminet_benchmarks.phantom.probe.scores import best_f1, measured
from aminet_benchmarks.phantom.probe.study import guesses, measure_guesses, study_table
from aminet_benchmarks.phantom.render import SliceRenderer
from aminet_train.metrics import average_precision

CONFIG = preset_config("report", shape=(128, 128, 24))
SEED = 3  # has clots


@pytest.fixture(scope="module")
def small():
    patient = make_patient(SEED, CONFIG)
    return patient, make_patient(SEED, CONFIG, twin="none", anatomy=patient.anatomy)


@pytest.fixture(scope="module")
def seen():
    return [probe_patient(seed, CONFIG) for seed in (3, 7, 0)]


def masked(patient, index, phase):
    plane = patient.slice(index, phases=(phase,), spiral=False).phases[0]
    mask = vessel_mask(patient, index)
    return Surroundings(mask, pixel_mm=patient.grid.spacing_mm[0]).paint(plane)


def test_mask_does_not_tell_where_the_clot_is(small):
    patient, twin = small

    for index in range(patient.grid.shape[2]):
        np.testing.assert_array_equal(vessel_mask(patient, index), vessel_mask(twin, index))


def test_mask_covers_every_clot_voxel(small):
    patient, _ = small
    clots = [patient.renderer.clot(index) > 0 for index in range(patient.grid.shape[2])]

    assert sum(clot.sum() for clot in clots) > 0
    for index, clot in enumerate(clots):
        assert vessel_mask(patient, index)[clot].all()


def test_masked_slice_with_the_twins_tissue_is_a_masked_slice_of_the_twin():
    """So the control holds nothing of the stroke at all, in phases that are resampled neither."""
    fine = preset_config("report", shape=(256, 256, 12))
    patient = make_patient(SEED, fine)
    twin = make_patient(SEED, fine, twin="none", anatomy=patient.anatomy)
    healthy = replace(patient.renderer.model, perfusion=twin.renderer.model.perfusion)
    control = replace(patient, renderer=SliceRenderer(healthy))
    positive = np.flatnonzero(patient.labels.any(axis=1)).tolist()

    assert positive
    for index in positive:
        assert (control.slice(index).phases != twin.slice(index).phases).any()
        for phase in (1, 2, 3):
            np.testing.assert_array_equal(masked(control, index, phase), masked(twin, index, phase))


def test_painting_takes_the_surroundings():
    plane = np.full((40, 40), 30, np.float32)
    mask = np.zeros((40, 40), bool)
    mask[10:14, 5:30] = True
    plane[mask] = 400

    np.testing.assert_allclose(Surroundings(mask, pixel_mm=1.0).paint(plane), 30, atol=1e-3)


def test_painting_reaches_the_middle_of_a_large_hole():
    plane = np.full((60, 60), 30, np.float32)
    mask = np.zeros((60, 60), bool)
    mask[5:55, 5:55] = True
    plane[mask] = 400

    np.testing.assert_allclose(Surroundings(mask, pixel_mm=1.0).paint(plane), 30, atol=1e-3)


def test_pose_measures_an_ellipse(small):
    grid = small[0].grid
    rows, columns = np.mgrid[:128, :128] - 64.0
    tilted = np.deg2rad(10)
    along = rows * np.cos(tilted) + columns * np.sin(tilted)
    across = columns * np.cos(tilted) - rows * np.sin(tilted)
    plane = np.where((along / 40) ** 2 + (across / 25) ** 2 < 1, 40, -1000).astype(np.float32)

    features = dict(zip(FEATURES, pose_features(plane, grid, 23).tolist(), strict=True))

    assert features["height, share of the scan"] == 1
    assert features["rotation, rad"] == pytest.approx(tilted, abs=0.01)
    assert features["centroid in rows, mm"] == pytest.approx(0, abs=0.1)
    assert features["width, mm"] < features["length, mm"]


def test_slice_of_air_has_a_pose_of_zeros(small):
    features = pose_features(np.full((128, 128), -1000, np.float32), small[0].grid, 0)

    assert features[:7].tolist() == [0] * 7


def test_shown_masked_and_control_differ_as_they_should(seen):
    images = seen[0].images

    assert images[SHOWN].shape == (8, 3, 64, 64)
    assert images[SHOWN].max() == 1
    assert (images[SHOWN] != images[MASKED]).any()
    assert (images[MASKED] != images[CONTROL]).any()  # the tissue behind the clots


def test_best_f1_counts_equal_scores_together():
    truth = np.array([[True, False, False, True]])

    assert best_f1(np.array([[0.9, 0.1, 0.1, 0.8]], np.float32), truth) == 1
    assert best_f1(np.full((1, 4), 0.5, np.float32), truth) == pytest.approx(2 * 2 / (4 + 2))


def test_gain_over_itself_is_nothing():
    rng = np.random.default_rng(0)
    scores, truth = rng.random((20, 15), np.float32), rng.random((20, 15)) < 0.2

    gain = measured(average_precision, scores, truth, against=scores)

    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_interval_holds_the_figure():
    rng = np.random.default_rng(0)
    truth = rng.random((40, 15)) < 0.2
    scores = (truth + rng.normal(0, 1, truth.shape)).astype(np.float32)

    figure = measured(best_f1, scores, truth)

    assert figure.low < figure.value < figure.high


def test_baselines_know_frequencies_and_heights():
    train = np.zeros((100, 15), bool)
    train[:50, 2] = True  # only in the lower half
    height = np.linspace(0, 1, 100, dtype=np.float32)

    common = commonest_regions(train, (4, 15))
    at_height = commonest_at_height(train, height, np.array([[0.1, 0.9]], np.float32))

    np.testing.assert_allclose(common[:, 2], 0.5)
    assert at_height.shape == (1, 2, 15)
    np.testing.assert_allclose(at_height[0, :, 2], [1, 0], atol=1e-3)


def synthetic(rows, seed):
    """Images with a dark square on the right or left, which decides regions 3 or 4."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0.5, 0.05, (rows, 1, 64, 64)).astype(np.float32)
    side = rng.integers(0, 2, rows)
    images[side == 0, 0, 20:36, 8:24] -= 0.3
    images[side == 1, 0, 20:36, 40:56] -= 0.3
    labels = np.zeros((rows, 30), np.float32)
    labels[np.arange(rows), 3 + side] = 1
    height = np.full(rows, 0.5, np.float32)
    return Table(*(torch.from_numpy(array) for array in (images, height, labels)))


def test_image_probe_learns_what_is_there_to_learn():
    """A probe that could not learn would prove nothing; mirrored batches swap the regions."""
    assert REGION_MIRROR[3] == 4
    test = synthetic(32, seed=1)

    logits = guess_from_images(synthetic(128, seed=0), test, epochs=25, seed=0)

    right = test.labels[:, 3].numpy() > 0
    assert ((logits[:, 3] > logits[:, 4]) == right).mean() > 0.95


def test_feature_probe_learns_what_is_there_to_learn():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 3)).astype(np.float32)
    labels = np.repeat(features[:, :1] > 0, 30, axis=1).astype(np.float32)
    table = Table(*(torch.from_numpy(a) for a in (features, features[:, 0], labels)))

    logits = guess_from_features(table, table, epochs=20, seed=0)

    assert ((logits[:, 0] > 0) == (features[:, 0] > 0)).mean() > 0.95


def test_study_measures_every_guess_at_both_levels(seen, monkeypatch):
    for name in ("IMAGE_EPOCHS", "POSE_EPOCHS"):
        monkeypatch.setattr(f"aminet_benchmarks.phantom.probe.study.{name}", 1)
    monkeypatch.setattr("aminet_benchmarks.phantom.probe.scores.ROUNDS", 5)

    rows = measure_guesses(guesses(seen[:1], seen[1:], seed=0), seen[1:])

    assert len(rows) == 7
    assert rows["commonest regions"]["patient AP, gain"].value == 0
    assert all(0 <= row["slice AP"].value <= 1 for row in rows.values())
    assert study_table(rows).count("\n") == 9
