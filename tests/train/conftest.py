# SPDX-License-Identifier: Apache-2.0
"""A small prepared cohort whose clots are bright squares, and so can be learned in seconds."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aminet_runtime.regions import REGION_COUNT, Regions
from aminet_train.checkpoint import CheckpointInfo, save_checkpoint
from aminet_train.cohort.prepared import (
    PATIENTS_FOLDER,
    PreparedCohort,
    write_cohort_file,
    write_patient_arrays,
)
from aminet_train.cohort.prepared_patient import CELL_GRID, PatientTruth, ScanInfo
from aminet_train.cohort.splits import Split, Splits, write_splits
from aminet_train.networks import Approach, build_network
from aminet_train.networks.simple_cnn import SimpleCnnConfig
from aminet_train.preprocessing import PreprocessingConfig
from aminet_train.thresholds import ChosenRule

SIZE_PX = (64, 64)
SLICE_COUNT = 12
MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13)


@pytest.fixture(scope="session")
def regions() -> Regions:
    return Regions(tuple(f"territory {index}" for index in range(REGION_COUNT)), MIRROR)


@pytest.fixture(scope="session")
def preprocessing_config() -> PreprocessingConfig:
    return PreprocessingConfig.from_preset("cta", size_px=SIZE_PX)


@pytest.fixture(scope="session")
def prepared_cohort(tmp_path_factory, regions, preprocessing_config) -> PreparedCohort:
    root: Path = tmp_path_factory.mktemp("prepared")
    write_cohort_file(root, preprocessing_config, regions)
    names = [f"patient-{number:02d}" for number in range(20)]
    for number, name in enumerate(names):
        _write_patient(root / PATIENTS_FOLDER / name, np.random.default_rng(number), name)
    parts = {Split.TRAIN: names[:13], Split.VALIDATION: names[13:16], Split.TEST: names[16:]}
    write_splits(root, Splits({split: tuple(part) for split, part in parts.items()}))
    return PreparedCohort.open(root)


def _write_patient(folder: Path, generator: np.random.Generator, name: str) -> None:
    images = generator.integers(60, 90, (SLICE_COUNT, 1, *SIZE_PX)).astype(np.uint8)
    labels = np.zeros((SLICE_COUNT, REGION_COUNT), np.uint8)
    cells = np.zeros((SLICE_COUNT, *CELL_GRID), np.uint16)
    region = int(generator.integers(1, REGION_COUNT))
    row, column = divmod(region, 4)  # each region has its own corner of the image
    for index in range(4, 9):
        images[index, 0, 16 * row + 2 : 16 * row + 14, 16 * column + 2 : 16 * column + 14] = 230
        labels[index, region] = 1
        cells[index, row * 3 + 1, column * 3 + 1] = 1 << region
    folder.mkdir(parents=True)
    write_patient_arrays(
        folder,
        images,
        np.arange(SLICE_COUNT, dtype=np.int32),
        truth=PatientTruth(labels, cells),
        scan=ScanInfo((*SIZE_PX, SLICE_COUNT), (0.5, 0.5, 0.6), name),
    )


@pytest.fixture(scope="session")
def cohort_with_spiral(prepared_cohort, tmp_path_factory) -> PreparedCohort:
    """The same patients, whose SPIRAL maps are high where the clot is, and here and there."""
    root = tmp_path_factory.mktemp("with-spiral") / "prepared"
    shutil.copytree(prepared_cohort.root, root)
    for number, path in enumerate(sorted(root.rglob("labels.npy"))):
        noise = np.random.default_rng(number).random((SLICE_COUNT, REGION_COUNT))
        values = np.maximum(0.8 * noise, 0.7 * np.load(path))
        np.save(path.with_name("spiral.npy"), values.astype(np.float32))
    return PreparedCohort.open(root)


@pytest.fixture(scope="session")
def write_network(preprocessing_config, regions):
    """Write the checkpoint of an untrained network that flags here and there."""

    def write(folder: Path, *, seed: int, regions: Regions = regions) -> Path:
        torch.manual_seed(seed)
        config = SimpleCnnConfig(features=16, extra_layers=0, pool=2)
        network = build_network(config, in_channels=1, size_px=SIZE_PX)
        rule = ChosenRule((0.5,) * REGION_COUNT, 0.5, 1)
        info = CheckpointInfo(Approach.SIMPLE_CNN, config, preprocessing_config, regions, rule, {})
        save_checkpoint(folder, network, info)
        return folder

    return write


@pytest.fixture(scope="session")
def judged_models(write_network, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        name: write_network(root / name / "checkpoint", seed=seed)
        for seed, name in enumerate(("first", "second", "third"))
    }
