# SPDX-License-Identifier: Apache-2.0
"""The counts of aminet-evaluate, computed again from raw folders and saved probabilities.

`independent_counts` uses NumPy and nibabel, and nothing of ours.
"""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from aminet_runtime.regions import Regions
from aminet_train.checkpoint import CheckpointInfo, save_checkpoint
from aminet_train.cohort.prepare import PreparePlan, prepare_cohort
from aminet_train.commands.evaluate import main
from aminet_train.judging.spiral import train_spiral
from aminet_train.networks import Approach, build_network
from aminet_train.networks.simple_cnn import SimpleCnnConfig
from aminet_train.preprocessing import PreprocessingConfig
from aminet_train.thresholds import ChosenRule

SHAPE = (40, 36, 8)  # stored i, j, k
LPS = np.diag([-4.0, -4.0, 15.0, 1.0])
PATIENTS = 12


def independent_counts(cohort: Path, scores: Path) -> dict[str, list[int]]:
    """Return tp, fp, fn, tn of both levels."""
    rule = json.loads((scores / "rule.json").read_text())["rule"]
    counts = {"slice": np.zeros(4, int), "patient": np.zeros(4, int)}
    for path in sorted(scores.glob("*.npz")):
        with np.load(path, allow_pickle=False) as saved:
            probabilities, slices = saved["probabilities"], saved["slices"]
        folder = cohort / path.stem
        clot = nibabel.load(folder / f"{path.stem}_clot.nii.gz").get_fdata()
        atlas = nibabel.load(folder / "ATLASMASKregA.nii.gz").get_fdata()
        truth = np.array(
            [[(clot[..., k][atlas[..., k] == r] > 0).any() for r in range(15)] for k in slices]
        )
        flags = probabilities >= rule["slice_threshold"]
        run = rule["min_consecutive_slices"]
        region_flags = np.zeros(15, bool)
        for region in range(15):
            above = probabilities[:, region] >= np.float64(rule["patient_thresholds"][region])
            starts = range(len(above) - run + 1)
            region_flags[region] = any(above[start : start + run].all() for start in starts)
        for level, flagged, true in (
            ("slice", flags, truth),
            ("patient", region_flags, truth.any(axis=0)),
        ):
            pairs = [flagged & true, flagged & ~true, ~flagged & true, ~flagged & ~true]
            counts[level] += [int(one.sum()) for one in pairs]
    return {level: values.tolist() for level, values in counts.items()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("raw") / "cohort"
    for number in range(PATIENTS):
        write_patient(root / f"p{number:02d}", np.random.default_rng(number))
    return root


@pytest.fixture(scope="module")
def prepared(cohort) -> Path:
    plan = PreparePlan(
        cohort.parent / "prepared", PreprocessingConfig.from_preset("cta", size_px=(32, 32))
    )
    assert prepare_cohort(cohort, plan, seed=1) == []
    return plan.root


def write_patient(folder: Path, generator: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    atlas = np.broadcast_to(np.arange(SHAPE[0])[:, None, None] % 15, SHAPE)
    spiral = generator.integers(0, 600, SHAPE)
    clot = np.zeros(SHAPE, np.int16)
    for value in (1, 2):
        i, j, k = (int(generator.integers(0, n - 2)) for n in SHAPE)
        clot[i : i + 2, j, k : k + 2] = value
        spiral[i, j, k] = generator.integers(300, 1000)
    volumes = {
        "CTA2regA": head_hu(generator),
        "ATLASMASKregA": atlas,
        f"{folder.name}_clot": clot,
    }
    for stem, values in volumes.items():
        image = nibabel.Nifti1Image(values.astype(np.int16), LPS)
        nibabel.save(image, folder / f"{stem}.nii.gz")
    scaled = nibabel.Nifti1Image((spiral / 1000).astype(np.float32), LPS)
    nibabel.save(scaled, folder / "SpiralregA.nii.gz")


def head_hu(generator: np.random.Generator) -> np.ndarray:
    """Return brain in a skull in air, which is what aminet-prepare takes for a head."""
    rows, columns, _ = np.ogrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j, : SHAPE[2]]
    radius = np.hypot(rows, columns)
    brain = generator.normal(40, 60, SHAPE)
    return np.where(radius < 0.8, brain, np.where(radius < 0.9, 900, -1000))


def network_checkpoint(folder: Path, preprocessing: PreprocessingConfig) -> Path:
    torch.manual_seed(0)
    config = SimpleCnnConfig(features=16, extra_layers=0)
    network = build_network(config, in_channels=1, size_px=preprocessing.size_px)
    rule = ChosenRule(tuple(np.linspace(0.46, 0.54, 15).tolist()), 0.5, 2)
    info = CheckpointInfo(
        Approach.SIMPLE_CNN, config, preprocessing, Regions.numbered(), rule, {"data": {}}
    )
    save_checkpoint(folder, network, info)
    return folder


@pytest.mark.parametrize("approach", ["spiral", "network"])
def test_counts_are_those_of_an_independent_computation(
    approach, cohort, prepared, tmp_path, capsys
):
    if approach == "spiral":
        checkpoint = train_spiral([prepared], tmp_path / "run")
    else:
        config = PreprocessingConfig.from_preset("cta", size_px=(32, 32))
        checkpoint = network_checkpoint(tmp_path / "run", config)
    arguments = [f"model={checkpoint}", "--data", str(prepared), "--json"]
    assert main([*arguments, "--save-scores", str(tmp_path / "scores")]) == 0
    report = json.loads(capsys.readouterr().out)
    names = ("tp", "fp", "fn", "tn")
    ours = {level: [report[level][name] for name in names] for level in ("slice", "patient")}
    assert ours == independent_counts(cohort, tmp_path / "scores" / "model")
    assert ours["patient"][0] + ours["patient"][1] > 0, "nothing was flagged: this tests nothing"
    assert sum(ours["slice"]) == report["patients"] * SHAPE[2] * 15
