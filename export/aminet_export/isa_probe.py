# SPDX-License-Identifier: Apache-2.0
"""Score slices in a process of its own, which may be limited to an older instruction set.

    python -m aminet_export.isa_probe FOLDER SLICES.npy SCORES.npy

oneDNN reads ONEDNN_MAX_CPU_ISA once, so each instruction set needs a fresh process. It imports no
torch, so that it is up in half a second.
"""

import os
import sys
from pathlib import Path

import numpy as np

from aminet_export.openvino_scorer import openvino_scorer
from aminet_runtime.bundle import MODEL_BIN, MODEL_XML
from aminet_runtime.engines.openvino_import import shared_core


def main(arguments: list[str]) -> None:
    """Score the slices of one file with the network of a folder into another file."""
    folder, source, target = map(Path, arguments)
    slices_hu = np.load(source, mmap_mode="r", allow_pickle=False)
    model = shared_core().read_model(
        model=(folder / MODEL_XML).read_bytes(), weights=(folder / MODEL_BIN).read_bytes()
    )
    scorer = openvino_scorer(model, (1, *slices_hu.shape[1:]))
    scores = scorer(np.ascontiguousarray(part[np.newaxis]) for part in slices_hu)
    np.save(target, scores, allow_pickle=False)


if __name__ == "__main__":
    main(sys.argv[1:])
    # the answer is on disk; now and then OpenVINO's threads end in the wrong order and take the
    # process down ("terminate called without an active exception")
    os._exit(0)
