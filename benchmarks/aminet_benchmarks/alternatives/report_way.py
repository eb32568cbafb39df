# SPDX-License-Identifier: Apache-2.0
"""The source report's way: nibabel get_fdata and PyTorch eager, one thread.

Usage: python -m aminet_benchmarks.alternatives.report_way CTA.nii.gz CHECKPOINT

CHECKPOINT may be `untrained`: time and memory do not depend on the weights.
"""

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import timm
import torch
from torch.nn import functional as F

from aminet_train.checkpoint import load_model

UNTRAINED = "untrained"


def main(volume_path: str, checkpoint: str) -> None:
    """Score every slice as the report did, and print the highest probability of each region."""
    torch.set_num_threads(1)
    model = _untrained() if checkpoint == UNTRAINED else load_model(Path(checkpoint))[1]
    volume = nibabel.load(volume_path).get_fdata()
    highest = np.zeros(15, np.float32)
    with torch.no_grad():
        for number in range(volume.shape[2]):
            # (i, j) -> (row, column)
            axial_slice = np.ascontiguousarray(volume[:, :, number].T, dtype=np.float32)
            probabilities = model(torch.from_numpy(axial_slice)[None, None])[0]
            highest = np.maximum(highest, probabilities[0].numpy())
    print(json.dumps(highest.tolist()))  # noqa: T201 - a program


class _ReportModel(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = timm.create_model("mobilenetv2_100", in_chans=1, num_classes=15)

    def forward(self, slices: torch.Tensor) -> tuple[torch.Tensor]:
        windowed = (slices.clamp(-100, 500) + 100) / 600
        resized = F.interpolate(windowed, size=(224, 224), mode="bilinear")
        return (torch.sigmoid(self.network(resized)),)


def _untrained() -> torch.nn.Module:
    return _ReportModel().eval()


if __name__ == "__main__":
    main(*sys.argv[1:])
