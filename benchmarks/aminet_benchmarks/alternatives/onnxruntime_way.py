# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime and a gunzip, no checks, one layout, one thread; float or INT8 by the file.

Usage: python -m aminet_benchmarks.alternatives.onnxruntime_way MODEL.onnx COLUMNS ROWS VOLUME...
"""

import json
import sys
import time

import numpy as np
import onnxruntime
from isal import igzip

HEADER_BYTES = 352
TYPES = {b"\2\0": "u1", b"\4\0": "i2"}  # at byte 70 of a NIfTI-1 header


def main(model_path: str, columns: str, rows: str, *volume_paths: str) -> None:
    """Score every slice of the volumes, one a channel."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model_path, options, ["CPUExecutionProvider"])
    image = np.empty((1, len(volume_paths), int(rows), int(columns)), np.float32)
    scores = []
    streams = [igzip.open(path, "rb") for path in volume_paths]
    types = [TYPES[stream.read(HEADER_BYTES)[70:72]] for stream in streams]
    sizes = [int(kind[1]) * image[0, 0].size for kind in types]
    started = time.perf_counter()
    while planes := [
        p for stream, size in zip(streams, sizes, strict=True) if (p := stream.read(size))
    ]:
        for channel, plane in enumerate(planes):
            image[0, channel] = np.frombuffer(plane, types[channel]).reshape(image.shape[2:])
        scores.append(session.run(["probabilities"], {"slices": image})[0][0].tolist())
    loop_s = time.perf_counter() - started
    print(json.dumps({"slices": scores, "loop_s": loop_s}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
