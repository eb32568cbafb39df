# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from aminet_train.model import DeployableModel
from aminet_train.preprocessing import Preprocessing, PreprocessingConfig


class Cells(nn.Module):
    """Logits and a map of square cells, the mean of what is seen in each."""

    def __init__(self, edge_px: int = 4) -> None:
        super().__init__()
        self.edge_px = edge_px

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        evidence = nn.functional.avg_pool2d(images, self.edge_px).expand(-1, 15, -1, -1)
        return evidence.amax(dim=(2, 3)), evidence


@pytest.fixture
def model() -> DeployableModel:
    config = PreprocessingConfig.from_preset("arterial", size_px=(32, 24), margin_px=(8, 12))
    return DeployableModel(Preprocessing(config), Cells())


def test_evidence_covers_the_whole_slice_and_is_nothing_in_the_margin(model):
    _, evidence = model(torch.full((1, 1, 96, 96), 100.0))
    assert evidence.shape == (1, 15, 12, 12)
    assert evidence[:, :, 2:10, 3:9].min() > 0
    assert evidence.count_nonzero() == 15 * 8 * 6


def test_cells_that_the_margin_would_cut_stand_in_parts(model):
    model.network = Cells(8)
    slices = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 500
    _, cells = model.network(model.preprocessing(slices))
    _, evidence = model(slices)
    seen = evidence[:, :, 2:10, 3:9]
    torch.testing.assert_close(
        seen, cells.sigmoid().repeat_interleave(2, 2).repeat_interleave(2, 3)
    )
    assert evidence.shape == (1, 15, 12, 12)
    assert evidence.count_nonzero() == seen.count_nonzero()


@pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, and tracing notes constants
def test_traced_for_torchscript_it_answers_alike(model):
    slices = torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)) * 100
    traced = torch.jit.trace(model, slices)
    for answer, expected in zip(traced(slices * 2), model(slices * 2), strict=True):
        torch.testing.assert_close(answer, expected)
