# SPDX-License-Identifier: Apache-2.0
"""How fast training data come: the loader beside the networks, preparation beside bare gunzip.

All is measured on one thread in seconds of processor time, which other work on the machine does
not stretch. Rounds take turns; the fastest round counts.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from aminet_runtime.errors import InputMissing
from aminet_runtime.patient import PatientFolder
from aminet_runtime.volume import Volume
from aminet_train.cohort.folder_source import FolderSource
from aminet_train.cohort.prepare_patient import PreparePlan, prepare_patient
from aminet_train.cohort.prepared import PreparedCohort
from aminet_train.fitting.dataset import SliceDataset, collate
from aminet_train.networks import CONFIG_TYPES, Approach, build_network
from aminet_train.preprocessing import PreprocessingConfig, in_channels
from aminet_train.slice_window import SliceWindow

BATCH_SIZE = 32
GOAL = 5.0
"""The loader is to be this many times as fast as the fastest network."""


@dataclass(frozen=True, slots=True)
class LoaderSpeed:
    """Slices a second, on one core.

    Attributes:
        loader: Drawn at random from the cache, unpacked and stacked to batches of 32.
        training: By approach: forward, loss and backward.
        scoring: By approach: forward only.
    """

    loader: float
    training: Mapping[str, float]
    scoring: Mapping[str, float]

    @property
    def headroom(self) -> float:
        """How many times as fast as the fastest network in training the loader is."""
        return self.loader / max(self.training.values())

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "loader": self.loader,
            "training": dict(self.training),
            "scoring": dict(self.scoring),
            "headroom": self.headroom,
            "goal": GOAL,
        }


@dataclass(frozen=True, slots=True)
class PrepareSpeed:
    """Seconds a patient, on one core.

    Attributes:
        prepare: Read, checked, resized, labelled, hashed and written.
        gunzip: The same files unpacked and hashed, and nothing done with them.
    """

    prepare: float
    gunzip: float

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {"prepare_s": self.prepare, "gunzip_s": self.gunzip}


def loader_speed(prepared: Path, window: SliceWindow, *, rounds: int = 3) -> LoaderSpeed:
    """Measure the loader on a prepared cohort, and each network at its size.

    Raises:
        InputMissing: There are too few slices for a batch.
    """
    torch.set_num_threads(1)
    cohort = PreparedCohort.open(prepared)
    dataset = SliceDataset([cohort.patient(name) for name in cohort.patient_ids()], window)
    if len(dataset) < BATCH_SIZE:
        raise InputMissing(
            f"{len(dataset)} slices are fewer than a batch of {BATCH_SIZE}",
            path=prepared,
            hint="prepare more patients",
        )
    channels = in_channels(cohort.preprocessing, window)
    images = torch.rand(BATCH_SIZE, channels, *cohort.preprocessing.size_px)
    networks = {
        approach: build_network(
            CONFIG_TYPES[approach](),
            in_channels=channels,
            size_px=cohort.preprocessing.size_px,
        )
        for approach in Approach
        if approach is not Approach.SPIRAL  # it has no weights to train
    }
    return LoaderSpeed(
        loader=_rate(lambda: _load_all(dataset), len(dataset), rounds=rounds),
        training={
            name.value: _rate(training_step(network, images), BATCH_SIZE, rounds=rounds)
            for name, network in networks.items()
        },
        scoring={
            name.value: _rate(_scoring_step(network, images), BATCH_SIZE, rounds=rounds)
            for name, network in networks.items()
        },
    )


def prepare_speed(
    folder: Path, preprocessing: PreprocessingConfig, *, rounds: int = 3
) -> PrepareSpeed:
    """Measure the preparation of one patient folder, all slices kept."""
    torch.set_num_threads(1)

    def prepare() -> None:
        with tempfile.TemporaryDirectory() as root:
            source = FolderSource(folder, preprocessing.channels)
            prepare_patient(source, PreparePlan(Path(root), preprocessing))

    return PrepareSpeed(
        prepare=fastest_s(prepare, rounds=rounds),
        gunzip=fastest_s(lambda: _unpack(folder, preprocessing), rounds=rounds),
    )


def _unpack(folder: Path, preprocessing: PreprocessingConfig) -> None:
    files = PatientFolder.open(folder)
    paths = [files.path_of(channel) for channel in preprocessing.channels]
    maps = [path for key, path in files.files if not key.upper().startswith("CTA")]
    for path in dict.fromkeys([*paths, *maps]):  # a SPIRAL channel is one of the maps, too
        with Volume.open(path) as volume:
            for _slice in volume.slices():
                pass


def _load_all(dataset: SliceDataset) -> None:
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True, collate_fn=collate)
    for _batch in loader:
        pass


def training_step(network: nn.Module, images: Tensor) -> Callable[[], None]:
    """Return one step of training: forward, loss, backward."""

    def step() -> None:
        network.train()
        logits, _evidence = network(images)
        loss = F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
        torch.autograd.backward(loss)

    return step


def _scoring_step(network: nn.Module, images: Tensor) -> Callable[[], None]:
    def step() -> None:
        network.eval()
        with torch.inference_mode():
            network(images)

    return step


def _rate(work: Callable[[], None], slices: int, *, rounds: int) -> float:
    return slices / fastest_s(work, rounds=rounds)


def fastest_s(work: Callable[[], None], *, rounds: int) -> float:
    """Return the processor time of the fastest round, after one that is not counted."""
    times = []
    for _round in range(rounds + 1):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times[1:])
