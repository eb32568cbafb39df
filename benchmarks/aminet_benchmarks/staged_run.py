# SPDX-License-Identifier: Apache-2.0
"""A program: run a patient twice in one session, cold and warm, and tell where the time went.

Usage: python -m aminet_benchmarks.staged_run PATIENT BUNDLE THREADS

`decode` is all of the stream that is not the network: reading, unpacking, checking, scaling.
"""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aminet_runtime.engines.engine import NetworkAnswer
from aminet_runtime.engines.openvino import OpenVinoNetwork
from aminet_runtime.process import started_at
from aminet_runtime.publish import write_whole
from aminet_runtime.result import PatientResult, to_json_file
from aminet_runtime.session import Session


def main(patient: str, bundle: str, threads: str) -> None:
    """Print one JSON object for the cold and one for the warm run, in ms."""
    infer_ms = _time_each_inference()
    found = []
    with Session.open(bundle, threads=int(threads), started=started_at()) as session:
        for _run in ("cold", "warm"):
            infer_ms.clear()
            result = session.run(patient)
            found.append(_stages(result, infer_ms))
    print(json.dumps(dict(zip(("cold", "warm"), found, strict=True))))  # noqa: T201 - a program


def _time_each_inference() -> list[float]:
    """Wrap the engine, and return the list that its times are appended to."""
    infer = OpenVinoNetwork.infer
    times_ms: list[float] = []

    def timed(self: OpenVinoNetwork) -> NetworkAnswer:
        started = time.perf_counter()
        answer = infer(self)
        times_ms.append((time.perf_counter() - started) * 1000.0)
        return answer

    OpenVinoNetwork.infer = timed  # type: ignore[method-assign]
    return times_ms


def _stages(result: PatientResult, infer_ms: list[float]) -> Mapping[str, float]:
    timings = result.timings_ms
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_whole(Path(folder) / "result.json", to_json_file(result.to_json()))
    return {
        "start": timings.start,
        "compile": timings.compile,
        "decode": timings.stream - sum(infer_ms),
        "infer": sum(infer_ms),
        "decide": timings.total - timings.start - timings.compile - timings.stream,
        "write": (time.perf_counter() - started) * 1000.0,
        "total": timings.total,
        "slice_p50": float(np.percentile(infer_ms, 50)),
        "slice_p95": float(np.percentile(infer_ms, 95)),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
