# SPDX-License-Identifier: Apache-2.0
"""Finished bundles side by side: size, speed on one core, F1 at both levels, distance to torch.

All but the speed stands in the bundles. The speed is that of this machine, in processor time and
the bundles taking turns, so that a busy machine is fair to all of them.
"""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aminet_export.ensemble_contents import VOTES
from aminet_export.judge import shipped_stage
from aminet_export.receipts import PARITY
from aminet_runtime.bundle import Bundle, is_ensemble
from aminet_runtime.engines.engine import CompiledNetwork
from aminet_runtime.engines.openvino import OpenVinoEngine
from aminet_runtime.ensemble_bundle import EnsembleBundle
from aminet_runtime.selftest import read_selftest

ROUNDS = 30
WARMUP = 3

STORED_PX = 512
"""Height and width at which a slice is timed: that of nearly all CT scanners."""


@dataclass(frozen=True, slots=True)
class BundleRow:
    """One bundle.

    Attributes:
        name: The bundle's.
        size_mb: Of its IR.
        slice_ms: Median processor time of one slice of 512 x 512, one thread.
        slice_f1: On its test patients, of what ships; None if it does not say.
        patient_f1: The same at patient level.
        max_difference: Largest difference in probability to torch; None if it does not say.
    """

    name: str
    size_mb: float
    slice_ms: float
    slice_f1: float | None
    patient_f1: float | None
    max_difference: float | None


def bundle_rows(folders: Sequence[Path], *, rounds: int = ROUNDS) -> list[BundleRow]:
    """Read bundles and time them in turn, one slice each a round.

    Args:
        folders: Bundles; an ensemble counts as its members, one after the other.
        rounds: Counted slices of each.

    Raises:
        ModelError: A folder is no bundle.
    """
    parts = {folder: _bundles(folder) for folder in folders}
    networks = {folder: [_compiled(one) for one in bundles] for folder, bundles in parts.items()}
    times_ms: dict[Path, list[float]] = {folder: [] for folder in folders}
    for number in range(WARMUP + rounds):
        for folder, members in networks.items():
            elapsed_ms = _time_ms(members)
            if number >= WARMUP:
                times_ms[folder].append(elapsed_ms)
    return [_row(folder, parts[folder], statistics.median(times_ms[folder])) for folder in folders]


def rows_table(rows: Sequence[BundleRow]) -> str:
    """Return a Markdown table, a row a bundle."""
    figures = "slice F1 | patient F1 | largest difference to torch"
    lines = [
        f"| bundle | IR, MB | ms a slice, one core | {figures} |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.size_mb:.1f} | {row.slice_ms:.1f} | {_shown(row.slice_f1, '.3f')} "
        f"| {_shown(row.patient_f1, '.3f')} | {_shown(row.max_difference, '.2g')} |"
        for row in rows
    ]
    return "\n".join(lines)


def _bundles(folder: Path) -> list[Bundle]:
    if is_ensemble(folder):
        return list(EnsembleBundle.open(folder).members)
    return [Bundle.open(folder)]


def _compiled(bundle: Bundle) -> CompiledNetwork:
    network = OpenVinoEngine(bundle, threads=1).compile(height=STORED_PX, width=STORED_PX)
    example = read_selftest(bundle).slices_hu[0]
    planes, height, width = example.shape
    window = planes // len(network.input_hu)  # of a network that sees each slice alone, else 1
    network.input_hu[:] = 0
    network.input_hu[:, :height, :width] = example[window // 2 :: window, :STORED_PX, :STORED_PX]
    return network


def _time_ms(networks: Sequence[CompiledNetwork]) -> float:
    started = time.process_time()
    for network in networks:
        if network.features is not None:
            network.look()
        network.infer()
    return (time.process_time() - started) * 1000


def _row(folder: Path, bundles: Sequence[Bundle], slice_ms: float) -> BundleRow:
    slice_f1, patient_f1 = _f1_of_vote(folder) if is_ensemble(folder) else _f1_of(bundles[0])
    return BundleRow(
        name=folder.name,
        size_mb=sum(len(one.model_xml) + len(one.model_bin) for one in bundles) / 1e6,
        slice_ms=slice_ms,
        slice_f1=slice_f1,
        patient_f1=patient_f1,
        max_difference=None if is_ensemble(folder) else _difference(bundles[0]),
    )


def _f1_of(bundle: Bundle) -> tuple[float | None, float | None]:
    metrics = bundle.metadata.metrics
    shipped = metrics and (metrics.int8 or metrics.float32)
    return (shipped.slice_level.f1, shipped.patient_level.f1) if shipped else (None, None)


def _f1_of_vote(folder: Path) -> tuple[float | None, float | None]:
    votes = _read(folder / VOTES)
    if not votes:
        return None, None
    return votes["shipped"]["slice"]["f1"], votes["shipped"]["patient"]["f1"]


def _difference(bundle: Bundle) -> float | None:
    receipt = _read(bundle.path / PARITY)
    stages = receipt.get("full_size") or receipt.get("cached") or {}
    stage = stages.get(shipped_stage(bundle.metadata.precision))
    return float(stage["max_difference"]) if stage else None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    values: dict[str, Any] = json.loads(path.read_bytes())
    return values


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
