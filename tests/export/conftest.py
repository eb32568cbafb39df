# SPDX-License-Identifier: Apache-2.0
"""A small trained checkpoint, its prepared cohort and a patient folder, for exports in seconds."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from aminet_export.pipeline import ExportPlan
from aminet_runtime.engines.openvino_import import import_openvino
from aminet_runtime.metadata import Precision
from aminet_runtime.regions import REGION_COUNT, Regions
from aminet_train.checkpoint import CheckpointInfo, save_checkpoint
from aminet_train.networks import Approach, build_network
from aminet_train.networks.heads import Head
from aminet_train.networks.mobilenetv2 import MobileNetV2Config, Padding
from aminet_train.prepare import prepare_cohort
from aminet_train.prepare_patient import PreparePlan
from aminet_train.preprocessing import PreprocessingConfig
from aminet_train.thresholds import ChosenRule

SHAPE = (80, 72, 9)  # stored i, j, k
SIZE_PX = (64, 64)
LPS = np.diag([-2.5, -2.5, 15.0, 1.0])


@dataclass(frozen=True)
class Workshop:
    checkpoint: Path
    prepared: Path
    patient: Path

    def plan(self, output: Path, *, precision: Precision = Precision.INT8, **changes):
        return ExportPlan(
            checkpoint=self.checkpoint,
            data=(self.prepared,),
            output=output,
            precision=precision,
            parity_patient=self.patient,
            calibration_slices=16,
            **changes,
        )


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Workshop:
    import_openvino()  # caps the instruction set before anything is compiled
    root = tmp_path_factory.mktemp("workshop")
    for number in range(8):
        _write_patient(root / "cohort" / f"p{number}", number)
    config = PreprocessingConfig.from_preset("cta", size_px=SIZE_PX)
    prepare_cohort(root / "cohort", PreparePlan(root / "prepared", config), seed=0)
    _write_checkpoint(root / "checkpoint", config)
    return Workshop(root / "checkpoint", root / "prepared", root / "cohort" / "p0")


def _write_checkpoint(folder: Path, preprocessing: PreprocessingConfig) -> None:
    torch.manual_seed(0)
    config = MobileNetV2Config(head=Head.DENSE, padding=Padding.SAME)
    network = build_network(config, in_channels=1, size_px=SIZE_PX)
    _measure_batch_norm(network)
    info = CheckpointInfo(
        approach=Approach.MOBILENETV2,
        network=config,
        preprocessing=preprocessing,
        regions=Regions.numbered(),
        rule=ChosenRule((0.5,) * 15, 0.5, 1),
        training={},
    )
    save_checkpoint(folder, network, info)


def _measure_batch_norm(network: torch.nn.Module) -> None:
    """Give random weights activations of a sensible size, as trained ones have."""
    network.train()
    for _ in range(20):
        network(torch.rand(8, 1, *SIZE_PX))
    network.head.classifier.bias.data.fill_(-4.0)


def _write_patient(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    across, along = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    radius = np.hypot(across, along)[:, :, None]
    brain = generator.normal(40, 20, SHAPE)
    hu = np.where(radius < 0.8, brain, np.where(radius < 0.9, 900, -1000)).astype(np.int16)
    hu[20:40, 20:40, :] += 250
    atlas = np.broadcast_to(np.arange(SHAPE[0])[:, None, None] % REGION_COUNT, SHAPE)
    clot = np.zeros(SHAPE, np.int16)
    clot[seed * 3 + 20, 30, 3:6] = 1
    volumes = {"CTA2regA": hu, "ATLASMASKregA": atlas.astype(np.int16), f"{folder.name}_clot": clot}
    for stem, values in volumes.items():
        nibabel.save(nibabel.Nifti1Image(values, LPS), folder / f"{stem}.nii.gz")
