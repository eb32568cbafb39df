# SPDX-License-Identifier: Apache-2.0
"""`aminet-run` beside other ways to score the same scan: time, memory, and the answers."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aminet_benchmarks.machine import describe_machine
from aminet_benchmarks.measure import Runs, run_interleaved
from aminet_runtime.bundle import MODEL_XML, Bundle
from aminet_runtime.patient import PatientFolder
from aminet_runtime.volume import Volume

OURS = "aminet-run"
SCRIPT = "30-line OpenVINO script"
REPORT_WAY = "the source report's way"
UNTRAINED = "untrained"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians of interleaved runs of one patient on the same cores.

    Attributes:
        runs: Of each way.
        largest_difference: Between the script's and our probability of any region, since both run
            the same network.
        machine: Where it was measured.
    """

    runs: tuple[Runs, ...]
    largest_difference: float
    machine: dict[str, object]

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values with every single run."""
        ways = {
            found.name: {
                "wall_s": found.wall_s,
                "peak_rss_mib": found.peak_rss_mib,
                "runs": [[run.wall_s, run.peak_rss_mib] for run in found.runs],
            }
            for found in self.runs
        }
        return {
            "ways": ways,
            "largest_difference": self.largest_difference,
            "machine": self.machine,
        }


def compare_ways(
    patient_dir: Path,
    bundle_dir: Path,
    *,
    rounds: int,
    cores: Sequence[int],
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Comparison:
    """Run each way in turn, cold, on the same cores.

    Args:
        patient_dir: Patient folder whose scan is int16 and stored as LPS, which is all that the
            script can read.
        bundle_dir: Bundle with one channel and a window of one slice.
        rounds: Counted rounds; one more before them is not counted.
        cores: Processors that the runs may use.
        on_progress: Called with runs done and runs in all.

    Raises:
        GateFailed: One of the ways ended with an error.
    """
    bundle = Bundle.open(bundle_dir)
    volume_path = PatientFolder.open(patient_dir).path_of(bundle.metadata.input.channels[0])
    with Volume.open(volume_path) as volume:
        _count, height, width = volume.shape
    alternative = [sys.executable, "-m", "aminet_benchmarks.alternatives"]
    commands = {
        OURS: [
            *(str(Path(sys.executable).with_name(OURS)), str(patient_dir)),
            *("--bundle", str(bundle_dir), "--json", "--slices", "--threads", str(len(cores))),
        ],
        SCRIPT: [
            *(*alternative[:2], f"{alternative[2]}.minimal_openvino", str(volume_path)),
            *(str(bundle_dir / MODEL_XML), str(width), str(height)),
        ],
        REPORT_WAY: [*alternative[:2], f"{alternative[2]}.report_way", str(volume_path), UNTRAINED],
    }
    runs = run_interleaved(commands, rounds=rounds, cores=cores, on_progress=on_progress)
    return Comparison(tuple(runs), _largest_difference(runs), describe_machine())


def comparison_table(comparison: Comparison) -> str:
    """Return a Markdown table with ratios to our own command."""
    ours = next(found for found in comparison.runs if found.name == OURS)
    lines = [
        "| way | wall, s | against ours | peak RSS, MiB | against ours |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {found.name} | {found.wall_s:.2f} | {found.wall_s / ours.wall_s:.2f} x "
        f"| {found.peak_rss_mib:.0f} | {found.peak_rss_mib / ours.peak_rss_mib:.2f} x |"
        for found in comparison.runs
    ]
    return "\n".join(lines)


def _largest_difference(runs: Sequence[Runs]) -> float:
    """Compare the highest probability of each region with that of the script."""
    by_name = {found.name: found.runs[0].output for found in runs}
    result = json.loads(by_name[OURS])
    ours = [max(scores) for scores in zip(*result["slices"]["probabilities"], strict=True)]
    script = json.loads(by_name[SCRIPT])
    return float(np.abs(np.array(ours) - np.array(script)).max())
