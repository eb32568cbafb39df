# SPDX-License-Identifier: Apache-2.0
"""Small networks that decide something, their prepared cohorts and a patient folder.

Nobody trains here: the network is random, and the truth of the cohort is what the float network
says. So float has an F1 near 1, and all that quantising changes is a loss.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from aminet_export.plan import Backend, ExportPlan
from aminet_runtime.engines.openvino_import import import_openvino
from aminet_runtime.metadata import Precision
from aminet_runtime.regions import REGION_COUNT, Regions
from aminet_train.checkpoint import CheckpointInfo, save_checkpoint
from aminet_train.cohort.prepare import prepare_cohort
from aminet_train.cohort.prepare_patient import PreparePlan
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.cohort.prepared_patient import IMAGE_LEVELS
from aminet_train.judging.spiral import train_spiral
from aminet_train.networks import Approach, NetworkConfig, build_network
from aminet_train.networks.efficientformerv2 import EfficientFormerV2Config
from aminet_train.networks.heads import Head
from aminet_train.networks.mobilenetv2 import MobileNetV2Config, Padding
from aminet_train.networks.simple_cnn import SimpleCnnConfig
from aminet_train.preprocessing import PreprocessingConfig
from aminet_train.thresholds import ChosenRule

SHAPE = (80, 72, 9)  # stored i, j, k
SIZE_PX = (64, 64)
LPS = np.diag([-2.5, -2.5, 15.0, 1.0])
PATIENTS = 25
PREPROCESSING = PreprocessingConfig.from_preset("cta", size_px=SIZE_PX)
TRUE_SHARE = 0.2
ALLOWED = 0.25
"""Loss of F1 that passes: random layers lose .1 to INT8, trained ones do not; spoiled ones .6."""
SPREAD = 4.0
"""Standard deviation of log-odds over slices: decisions are clear, as those of trained nets are."""

CONFIGS: dict[Approach, NetworkConfig] = {
    Approach.SIMPLE_CNN: SimpleCnnConfig(features=64, extra_layers=2),
    Approach.MOBILENETV2: MobileNetV2Config(head=Head.DENSE, padding=Padding.SAME),
    Approach.EFFICIENTFORMERV2: EfficientFormerV2Config(),
}

Spoil = Callable[[torch.nn.Module], None]


@dataclass(frozen=True)
class Workshop:
    """Patient folders, and for each network a checkpoint and its prepared cohort."""

    root: Path

    @property
    def patient(self) -> Path:
        return self.root / "cohort" / "p0"

    def make(
        self,
        name: str,
        approach: Approach,
        *,
        spoil: Spoil = lambda _network: None,
        preprocessing: PreprocessingConfig = PREPROCESSING,
    ) -> "Prepared":
        """Make a checkpoint, `spoil` it, and prepare the cohort with the truth that it sees."""
        made = Prepared(self.root / name)
        if not made.checkpoint.exists():
            self._prepare(made.data, preprocessing)
            network = _network(approach, _all_images(made.data))
            spoil(network)
            _save(made.checkpoint, network, approach, preprocessing)
            _set_truth(made.data, network)
        return made

    def _prepare(self, data: Path, preprocessing: PreprocessingConfig) -> None:
        if preprocessing == PREPROCESSING:
            shutil.copytree(self.root / "prepared", data)
        else:
            prepare_cohort(self.root / "cohort", PreparePlan(data, preprocessing), seed=0)


@dataclass(frozen=True)
class Prepared:
    root: Path

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def data(self) -> Path:
        return self.root / "prepared"

    def plan(self, output: Path, **changes) -> ExportPlan:
        plan = ExportPlan(
            checkpoint=self.checkpoint,
            data=(self.data,),
            output=output,
            precision=Precision.INT8,
            backend=Backend.OPENVINO,
            max_drop=ALLOWED,
            calibration_slices=32,
        )
        return replace(plan, **changes)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Workshop:
    import_openvino()  # caps the instruction set before anything is compiled
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    for number in range(PATIENTS):
        _write_patient(made.root / "cohort" / f"p{number}", number)
    prepare_cohort(made.root / "cohort", PreparePlan(made.root / "prepared", PREPROCESSING), seed=0)
    return made


@pytest.fixture(scope="session")
def spiral(workshop) -> Prepared:
    """The SPIRAL threshold, fitted on the cohort as it was prepared for its maps."""
    made = Prepared(workshop.root / "spiral")
    preprocessing = PreprocessingConfig.from_preset("spiral", size_px=SIZE_PX)
    prepare_cohort(workshop.root / "cohort", PreparePlan(made.data, preprocessing), seed=0)
    train_spiral([made.data], made.root)
    return made


@pytest.fixture(scope="session")
def simple(workshop) -> Prepared:
    return workshop.make("simple", Approach.SIMPLE_CNN)


def _network(approach: Approach, images: torch.Tensor) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_network(CONFIGS[approach], in_channels=images.shape[1], size_px=SIZE_PX)
    with torch.no_grad():
        for _ in range(10):
            network.train()(images[torch.randperm(len(images))[:16]])  # measures batch norm
        if approach is Approach.SIMPLE_CNN:
            _make_decisive(network.eval(), images)
    return network.eval()


def _make_decisive(network: torch.nn.Module, images: torch.Tensor) -> None:
    """Spread the log-odds of each region over slices."""
    logits = network(images)[0]
    scale = SPREAD / logits.std(dim=0)
    network.classifier.weight.mul_(scale[:, None])
    network.classifier.bias.sub_(logits.mean(dim=0)).mul_(scale).sub_(SPREAD)


def _save(
    folder: Path,
    network: torch.nn.Module,
    approach: Approach,
    preprocessing: PreprocessingConfig,
) -> None:
    info = CheckpointInfo(
        approach=approach,
        network=CONFIGS[approach],
        preprocessing=preprocessing,
        regions=Regions.numbered(),
        rule=ChosenRule((0.5,) * REGION_COUNT, 0.5, 1),
        training={},
    )
    save_checkpoint(folder, network, info)


def _set_truth(data: Path, network: torch.nn.Module) -> None:
    cohort = PreparedCohort.open(data)
    with torch.no_grad():
        logits = {n: network(_images(cohort, n))[0].numpy() for n in cohort.patient_ids()}
    bound = np.quantile(np.concatenate(list(logits.values())), 1 - TRUE_SHARE)
    for name, values in logits.items():
        np.save(cohort.patient(name).folder / "labels.npy", (values >= bound).astype(np.uint8))


def _all_images(data: Path) -> torch.Tensor:
    cohort = PreparedCohort.open(data)
    return torch.cat([_images(cohort, name) for name in cohort.patient_ids()])


def _images(cohort: PreparedCohort, name: str) -> torch.Tensor:
    return torch.from_numpy(cohort.patient(name).images() / np.float32(IMAGE_LEVELS))


def _write_patient(folder: Path, seed: int) -> None:
    """Write a head of noise with a vessel that wanders from slice to slice.

    The SPIRAL map is high where the clot is, and here and there.
    """
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    across, along = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    radius = np.hypot(across, along)[:, :, None]
    brain = generator.normal(40, 20, SHAPE)
    hu = np.where(radius < 0.8, brain, np.where(radius < 0.9, 900, -1000)).astype(np.int16)
    for k in range(SHAPE[2]):
        i, j = (seed * 7 + k * 5) % 56, (seed * 11 + k * 9) % 48
        hu[i : i + 24, j : j + 24, k] += 300
    atlas = np.broadcast_to(np.arange(SHAPE[0])[:, None, None] % REGION_COUNT, SHAPE)
    clot = np.zeros(SHAPE, np.int16)
    clot[seed + 20, 30, 3:6] = 1
    spiral = generator.random(SHAPE, dtype=np.float32) * np.float32(0.8)
    spiral[clot > 0] = 0.9
    nibabel.save(nibabel.Nifti1Image(spiral, LPS), folder / "SpiralregA.nii.gz")
    volumes = {"CTA2regA": hu, "ATLASMASKregA": atlas.astype(np.int16), f"{folder.name}_clot": clot}
    for stem, values in volumes.items():
        nibabel.save(nibabel.Nifti1Image(values, LPS), folder / f"{stem}.nii.gz")
