# SPDX-License-Identifier: Apache-2.0
"""The source report's way with the network traced to TorchScript and frozen, one thread.

Usage: python -m aminet_benchmarks.alternatives.torchscript_way CHECKPOINT VOLUME...

Tracing is counted, as compiling is for the others.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import nibabel
import numpy as np
import torch

from aminet_train.checkpoint import load_model


def main(checkpoint: str, *volume_paths: str) -> None:
    """Score every slice with a traced network."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # TorchScript is deprecated, and tracing notes constants
    model = load_model(Path(checkpoint))[1]
    started, scores = time.perf_counter(), []
    volumes = [nibabel.load(path).get_fdata() for path in volume_paths]
    columns, rows, count = volumes[0].shape
    with torch.no_grad():
        example = torch.zeros(1, len(volumes), rows, columns)
        model(example)  # EfficientFormerV2 fills a cache of its attention biases
        traced = torch.jit.freeze(torch.jit.trace(model, example))  # type: ignore[no-untyped-call]
        for number in range(count):
            # (i, j) -> (row, column)
            planes = np.stack([volume[:, :, number].T for volume in volumes]).astype(np.float32)
            scores.append(traced(torch.from_numpy(planes)[None])[0][0].tolist())
    loop_s = time.perf_counter() - started
    print(json.dumps({"slices": scores, "loop_s": loop_s}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
