# SPDX-License-Identifier: Apache-2.0
"""Slices looked at one by one and compared by their features."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aminet_runtime.errors import ModelIncompatible, UsageError
from aminet_train.checkpoint import CheckpointInfo, load_info, load_network, save_checkpoint
from aminet_train.cohort.prepared_patient import PreparedPatient, ScanInfo
from aminet_train.cohort.truth import TruthCollector
from aminet_train.fitting.config import TrainConfig
from aminet_train.fitting.dataset import SliceDataset
from aminet_train.fitting.resolve_config import resolve
from aminet_train.fitting.starting_network import random_network, starting_network
from aminet_train.judging.evaluate import score_patient
from aminet_train.model import DeployableModel, LateFusionModel, deployable
from aminet_train.networks import build_network, settled_parts
from aminet_train.networks.late_fusion import NeighbourFusion
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig, in_channels
from aminet_train.slice_window import SINGLE_SLICE, SliceWindow
from aminet_train.thresholds import ChosenRule

SIZE_PX = 64
PREPROCESSING = PreprocessingConfig.from_preset("mcta+atlas", size_px=(SIZE_PX, SIZE_PX))
WINDOWS = [SliceWindow(3, 4.0, late_fusion=True), SliceWindow(5, late_fusion=True)]


def run_config(
    window: SliceWindow, start_from: Path | None = None, **network: object
) -> TrainConfig:
    settings = {"head": "atlas", "map_stride": 4, **network}
    tables = {"model": "mobilenetv2", "data": ["x"], "weights": "none", "network": settings}
    return replace(resolve(tables), window=window, start_from=start_from)


@pytest.fixture
def save_run(tmp_path, regions) -> Callable[[SliceWindow], Path]:
    """Return a function that saves a network that has not learned anything."""

    def save(window: SliceWindow) -> Path:
        config, folder = run_config(window), tmp_path / f"run{window.size}{window.late_fusion}"
        network = untrained(config)
        rule = ChosenRule((0.5,) * 15, 0.5, 1)
        info = CheckpointInfo(
            config.approach, config.network, PREPROCESSING, regions, rule, {}, window
        )
        save_checkpoint(folder, network, info)
        return folder

    return save


def untrained(config: TrainConfig) -> nn.Module:
    torch.manual_seed(0)
    return build_network(
        config.network,
        in_channels=in_channels(PREPROCESSING, config.window),
        size_px=PREPROCESSING.size_px,
        slices=config.window.fused_slices,
    )


def awakened(network: nn.Module) -> nn.Module:
    """Let the fusion of a network say something, as it would after training."""
    torch.manual_seed(1)
    nn.init.normal_(network.head.fusion.clot.weight, std=5.0)
    return network.eval().requires_grad_(False)


def window_of(slices: Tensor) -> Tensor:
    """Turn slices [k, V, h, w], the atlas last, into the network's input for the middle one."""
    images, atlas = slices[:, :-1], slices[len(slices) // 2, -1:]
    return torch.cat([images.transpose(0, 1).flatten(0, 1), atlas])[None]


def some_slices(count: int) -> Tensor:
    torch.manual_seed(2)
    slices = torch.rand(count, 4, SIZE_PX, SIZE_PX)
    slices[:, -1] = torch.randint(0, 15, (count, SIZE_PX, SIZE_PX)) / 255
    return slices


@pytest.mark.parametrize("slices", [3, 5])
@pytest.mark.parametrize("finer", [1, 2])
def test_either_direction_gives_the_same_bits(slices, finer):
    fusion = NeighbourFusion(8, slices=slices, finer=finer)
    nn.init.normal_(fusion.clot.weight)
    features = torch.rand(2, slices, 8, 4, 6) * 6
    upward, downward = fusion(features), fusion(features.flip(1))
    assert upward.shape == (2, 1, 4 * finer, 6 * finer)
    assert torch.equal(upward, downward)
    assert not torch.allclose(upward, fusion(features.roll(1, dims=1)))


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"window {window.size}")
def test_goes_on_from_single_slices_as_if_they_were_alone(save_run, window):
    start = save_run(SINGLE_SLICE)
    single = load_network(start, load_info(start))
    fused = starting_network(run_config(window, start), PREPROCESSING, SliceDataset([])).eval()
    slices = some_slices(window.size)
    with torch.inference_mode():
        torch.testing.assert_close(
            fused(window_of(slices))[0], single(slices[window.size // 2][None])[0]
        )


def test_neighbours_change_the_answer():
    network = awakened(untrained(run_config(WINDOWS[0])))
    slices = some_slices(3)
    changed = slices.clone()
    changed[0, :-1] = 0.0
    before, after = (network(window_of(shown))[0] for shown in (slices, changed))
    assert float((before - after).abs().max()) > 0.01


def test_a_fused_network_is_itself_gone_on_from(save_run):
    window = WINDOWS[0]
    start = save_run(window)
    awake = awakened(load_network(start, load_info(start)))
    save_checkpoint(start, awake, load_info(start))
    onward = starting_network(run_config(window, start), PREPROCESSING, SliceDataset([]))
    torch.testing.assert_close(onward.head.fusion.clot.weight, awake.head.fusion.clot.weight)
    with pytest.raises(ModelIncompatible, match="the checkpoint is of SliceWindow"):
        starting_network(run_config(WINDOWS[1], start), PREPROCESSING, SliceDataset([]))


def test_all_but_the_fusion_has_learned_before():
    network = untrained(run_config(WINDOWS[0]))
    settled = {id(p) for part in settled_parts(network) for p in part.parameters()}
    new = {name for name, p in network.named_parameters() if id(p) not in settled}
    assert {name.rpartition(".")[0] for name in new} == {
        "head",
        *(f"head.fusion.{part}" for part in ("reduce", "mix.0", "mix.1", "clot")),
    }
    single = untrained(run_config(SINGLE_SLICE))
    assert settled_parts(single) == [single.backbone]


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"window {window.size}")
def test_two_parts_answer_as_the_whole(window):
    """Each slice is looked at once; of the atlas only the middle slice's counts."""
    config = PreprocessingConfig.from_preset(
        "mcta+atlas", size_px=(SIZE_PX, SIZE_PX), margin_px=(8, 16)
    )
    network = awakened(untrained(run_config(window)))
    side_by_side = DeployableModel(Preprocessing(config, window), network).eval()
    model = deployable(Preprocessing(config, window), network).eval()
    assert isinstance(model, LateFusionModel)
    torch.manual_seed(3)
    slices_hu = torch.rand(window.size, 4, 96, 80) * 400 - 100
    slices_hu[:, -1] = torch.randint(0, 15, (window.size, 96, 80)).float()
    planes = slices_hu.transpose(0, 1).flatten(0, 1)[None]
    features = model.alone(slices_hu)
    assert features.ndim == 2
    for answer, expected in zip(model.together(features[None]), side_by_side(planes), strict=True):
        torch.testing.assert_close(answer, expected)
    several = torch.cat([planes.flip(1), planes])
    several[0, -window.size :] = several[0, -window.size :].flip(0)
    for answer, expected in zip(model(several), side_by_side(several), strict=True):
        torch.testing.assert_close(answer, expected)


def test_a_patient_is_scored_by_looking_at_each_slice_once(tmp_path):
    window = WINDOWS[0]
    network = awakened(untrained(run_config(window)))
    patient = write_patient(tmp_path, count=9, spacing_mm=2.0)
    seen = 0

    def count(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal seen
        seen += len(arguments[0])

    hook = network.backbone.conv_stem.register_forward_pre_hook(count)
    scores = score_patient(network, patient, window)
    hook.remove()
    assert seen == 9
    expected = network(patient.inputs(np.arange(9, dtype=np.int32), window))[0].sigmoid()
    np.testing.assert_allclose(scores, expected.numpy(), rtol=1e-4, atol=1e-6)


def write_patient(folder: Path, *, count: int, spacing_mm: float) -> PreparedPatient:
    images = (some_slices(count) * 255).round().to(torch.uint8).numpy()
    np.save(folder / "images.npy", images)
    numbers = np.arange(count, dtype=np.int32)
    return PreparedPatient(
        patient_id="p1",
        folder=folder,
        kept=numbers,
        truth=TruthCollector(count).truth(),
        scan=ScanInfo((96, 96, count), (1.0, 1.0, spacing_mm), "f" * 64),
        slices=numbers,
        has_atlas=True,
    )


@pytest.mark.parametrize(
    ("window", "network", "message"),
    [
        (WINDOWS[0], {"head": "gap", "map_stride": 8}, "only the atlas head compares slices"),
        (WINDOWS[0], {}, "what a network of single slices has learned"),
    ],
)
def test_what_has_no_features_to_compare_is_refused(window, network, message):
    config = run_config(window, **network)
    channels = "mcta" if network else "mcta+atlas"
    preprocessing = PreprocessingConfig.from_preset(channels, size_px=(SIZE_PX, SIZE_PX))
    with pytest.raises(UsageError, match=message):
        random_network(config, preprocessing)


@pytest.mark.parametrize("settings", [{"size": 1}, {"slab": True}, {"mirrored": True}])
def test_a_window_that_is_not_side_by_side_is_refused(settings):
    with pytest.raises(ValueError, match="late fusion needs a window"):
        SliceWindow(**{"size": 3, "late_fusion": True, **settings})
