# SPDX-License-Identifier: Apache-2.0
"""The shortest script that can work: OpenVINO and a gunzip, no checks, one layout, one thread.

Usage: python -m aminet_benchmarks.alternatives.minimal_openvino CTA.nii.gz MODEL.xml COLUMNS ROWS

What `aminet-run` may not be slower than, although it does far more.
"""

import json
import sys

import numpy as np
import openvino as ov
from isal import igzip

HEADER_BYTES = 352


def main(volume_path: str, model_path: str, columns: str, rows: str) -> None:
    """Score every int16 slice, and print the highest probability of each region."""
    width, height = int(columns), int(rows)
    core = ov.Core()
    model = core.read_model(model_path)
    model.reshape([1, 1, height, width])
    hints = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    image = np.empty((1, 1, height, width), np.float32)
    highest = np.zeros(15, np.float32)
    with igzip.open(volume_path, "rb") as stream:
        stream.read(HEADER_BYTES)
        while plane := stream.read(2 * width * height):
            image[0, 0] = np.frombuffer(plane, np.int16).reshape(height, width)
            highest = np.maximum(highest, request.infer([image], share_inputs=True)[0][0])
    print(json.dumps(highest.tolist()))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
