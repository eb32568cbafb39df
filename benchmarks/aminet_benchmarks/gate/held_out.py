# SPDX-License-Identifier: Apache-2.0
"""F1 of float and INT8 on held-out patients: what the bundle's export measured, or anew.

The export judges each network with thresholds of its own. Measured anew on patient folders, both
networks decide by the bundle's thresholds, the float one in ONNX Runtime (`model.onnx`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.compare import scores_of
from aminet_benchmarks.gate.sampling import Estimate, exact
from aminet_benchmarks.measure import run_once
from aminet_benchmarks.ways import our_command
from aminet_runtime.bundle import MODEL_ONNX, Bundle
from aminet_runtime.errors import ModelInvalid
from aminet_train.cohort.folder_source import FolderSource
from aminet_train.judging.answers import affected_regions
from aminet_train.levels import Level
from aminet_train.metrics import Counts, count, total

ENGINES = ("onnxruntime", "openvino")


def drops_of_export(bundle: Bundle) -> dict[str, Estimate]:
    """Return how much F1 the export lost, by level; empty if it did not measure both networks."""
    metrics = bundle.metadata.metrics
    if metrics is None or metrics.float32 is None or metrics.int8 is None:
        return {}
    pairs = {
        "slice": (metrics.float32.slice_level, metrics.int8.slice_level),
        "patient": (metrics.float32.patient_level, metrics.int8.patient_level),
    }
    return {level: exact(before.f1 - after.f1) for level, (before, after) in pairs.items()}


def measure_drops(
    bundle: Bundle, patients: Sequence[Path], *, cores: Sequence[int]
) -> dict[str, Estimate]:
    """Run patients with known truth through both networks.

    Raises:
        ModelInvalid: The bundle holds no float network.
        GateFailed: A patient could not be run.
    """
    if not (bundle.path / MODEL_ONNX).exists():
        raise ModelInvalid(
            "the bundle holds no float network to compare with",
            path=bundle.path,
            hint="export with --backend both, or leave --patients out",
        )
    counts: dict[tuple[str, str], list[Counts]] = {}
    for patient in patients:
        labels = FolderSource(patient, bundle.metadata.input.channels).truth().labels.astype(bool)
        for engine in ENGINES:
            command = our_command([patient], bundle.path, threads=len(cores))
            output = run_once([*command, "--engine", engine], cores=cores).output
            for level, found in _count(bundle, output, labels).items():
                counts.setdefault((level, engine), []).append(found)
    f1 = {key: total(found).f1 for key, found in counts.items()}
    return {level: exact(f1[level, ENGINES[0]] - f1[level, ENGINES[1]]) for level in Level}


def _count(bundle: Bundle, output: str, labels: NDArray[np.bool_]) -> Mapping[str, Counts]:
    thresholds = np.array(
        [np.inf if one is None else one for one in bundle.metadata.decision.thresholds]
    )
    affected = np.array([bool(one["affected"]) for one in json.loads(output)["regions"]])
    return {
        "slice": count(scores_of(output) >= thresholds, labels),
        "patient": count(affected, affected_regions(labels)),
    }
