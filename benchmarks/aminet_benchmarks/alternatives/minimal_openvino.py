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
TYPES = {b"\2\0": "u1", b"\4\0": "i2"}  # at byte 70 of a NIfTI-1 header


def main(model_path: str, columns: str, rows: str, *volume_paths: str) -> None:
    """Score every slice of the volumes, one a channel."""
    shape = (1, len(volume_paths), int(rows), int(columns))
    core = ov.Core()
    model = core.read_model(model_path)
    model.reshape(list(shape))
    hints = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    image, scores = np.empty(shape, np.float32), []
    streams = [igzip.open(path, "rb") for path in volume_paths]
    types = [TYPES[stream.read(HEADER_BYTES)[70:72]] for stream in streams]
    sizes = [int(kind[1]) * image[0, 0].size for kind in types]
    started = time.perf_counter()
    while planes := [
        p for stream, size in zip(streams, sizes, strict=True) if (p := stream.read(size))
    ]:
        for channel, plane in enumerate(planes):
            image[0, channel] = np.frombuffer(plane, types[channel]).reshape(shape[2:])
        scores.append(request.infer([image], share_inputs=True)[0][0].tolist())
    loop_s = time.perf_counter() - started
    print(json.dumps({"slices": scores, "loop_s": loop_s}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
