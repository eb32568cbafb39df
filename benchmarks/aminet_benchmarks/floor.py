# SPDX-License-Identifier: Apache-2.0
"""The floor: what reading and computing take if nothing else is done.

Gunzip by isal of the files that the bundle reads, plus the network at its own input size, by
OpenVINO's `benchmark_app`, times the number of slices: no start, no compiling, no resize, no
checks.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aminet_benchmarks.measure import run_once
from aminet_benchmarks.ways import Task, gunzip_command
from aminet_runtime.bundle import MODEL_XML
from aminet_runtime.errors import GateFailed

REPORT_FILE = "benchmark_report.json"


@dataclass(frozen=True, slots=True)
class Floor:
    """The fastest of the rounds: what was reached once can be reached.

    Attributes:
        gunzip_s: All files of the patient that the bundle reads.
        latency_ms: The network on one slice.
        slices: Of the patient.
    """

    gunzip_s: float
    latency_ms: float
    slices: int

    @property
    def wall_s(self) -> float:
        """Both, for the whole patient."""
        return self.gunzip_s + self.latency_ms * self.slices / 1000.0

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return {
            "gunzip_s": self.gunzip_s,
            "latency_ms": self.latency_ms,
            "slices": self.slices,
            "wall_s": self.wall_s,
        }


def measure_floor(
    task: Task,
    *,
    rounds: int,
    cores: Sequence[int],
    environment: Mapping[str, str] | None = None,
) -> Floor:
    """Measure gunzip and network in turn.

    Raises:
        GateFailed: One of them ended with an error.
    """
    gunzip_s, latency_ms = [], []
    for _round in range(rounds):
        unpacked = run_once(gunzip_command(task), cores=cores, environment=environment)
        gunzip_s.append(float(json.loads(unpacked.output)["loop_s"]))
        with tempfile.TemporaryDirectory(prefix="aminet-floor-") as scratch:
            run_once(benchmark_app(task, Path(scratch)), cores=cores, environment=environment)
            latency_ms.append(_median_ms(Path(scratch)))
    return Floor(min(gunzip_s), min(latency_ms), task.shape[0])


def benchmark_app(task: Task, report_folder: Path) -> list[str]:
    """Return the command of OpenVINO's own benchmark, with the runtime's settings."""
    contract = task.bundle.metadata.input
    height, width = contract.frame_px
    return [
        *(str(Path(sys.executable).with_name("benchmark_app")), "-d", "CPU"),
        *("-m", str(task.bundle.path / MODEL_XML)),
        *("-shape", f"[1,{contract.planes},{height},{width}]"),
        *("-hint", "none", "-nstreams", "1", "-nthreads", "1", "-pin", "NO"),
        *("-infer_precision", "f32", "-api", "sync", "-inference_only"),
        *("-niter", str(max(task.shape[0], 20)), "-json_stats"),
        *("-report_type", "no_counters", "-report_folder", str(report_folder)),
    ]


def _median_ms(report_folder: Path) -> float:
    try:
        report = json.loads((report_folder / REPORT_FILE).read_text(encoding="utf-8"))
        return float(report["execution_results"]["latency (ms)"])
    except (OSError, ValueError, KeyError) as cause:
        raise GateFailed(f"benchmark_app wrote no latency ({cause})") from cause
