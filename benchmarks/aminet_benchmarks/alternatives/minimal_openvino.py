# SPDX-License-Identifier: Apache-2.0
"""The shortest script that can work: OpenVINO and a gunzip, no checks, one layout, one thread.

Usage: python -m aminet_benchmarks.alternatives.minimal_openvino MODEL.xml COLUMNS ROWS VOLUME...

What `aminet-run` may not be slower than, although it does far more.
"""

import json
import sys
import time

import numpy as np
import openvino as ov
from isal import igzip

HEADER_BYTES = 352


def main(model_path: str, columns: str, rows: str, *volume_paths: str) -> None:
    """Score every slice of int16 volumes, one a channel."""
    shape = (1, len(volume_paths), int(rows), int(columns))
    core = ov.Core()
    model = core.read_model(model_path)
    model.reshape(list(shape))
    hints = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    image, scores = np.empty(shape, np.float32), []
    streams = [igzip.open(path, "rb") for path in volume_paths]
    for stream in streams:
        stream.read(HEADER_BYTES)
    started = time.perf_counter()
    while planes := [plane for stream in streams if (plane := stream.read(2 * image[0, 0].size))]:
        for channel, plane in enumerate(planes):
            image[0, channel] = np.frombuffer(plane, np.int16).reshape(shape[2:])
        scores.append(request.infer([image], share_inputs=True)[0][0].tolist())
    loop_s = time.perf_counter() - started
    print(json.dumps({"slices": scores, "loop_s": loop_s}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
