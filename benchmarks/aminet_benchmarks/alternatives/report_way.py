# SPDX-License-Identifier: Apache-2.0
"""The source report's way: nibabel get_fdata and PyTorch eager, one thread.

Usage: python -m aminet_benchmarks.alternatives.report_way CHECKPOINT VOLUME...
"""

import json
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import torch

from aminet_train.checkpoint import load_model


def main(checkpoint: str, *volume_paths: str) -> None:
    """Score every slice as the report did."""
    torch.set_num_threads(1)
    model = load_model(Path(checkpoint))[1]
    started, scores = time.perf_counter(), []
    volumes = [nibabel.load(path).get_fdata() for path in volume_paths]
    with torch.no_grad():
        for number in range(volumes[0].shape[2]):
            # (i, j) -> (row, column)
            planes = np.stack([volume[:, :, number].T for volume in volumes]).astype(np.float32)
            scores.append(model(torch.from_numpy(planes)[None])[0][0].tolist())
    loop_s = time.perf_counter() - started
    print(json.dumps({"slices": scores, "loop_s": loop_s}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
