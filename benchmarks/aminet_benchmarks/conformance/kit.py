# SPDX-License-Identifier: Apache-2.0
"""Write a kit: inputs, what the runtime answers for them, and how far a port may differ.

    KIT/conformance.json             all expectations
    KIT/slices/0.f32                 planes [C, H, W] in HU, float32, little-endian
    KIT/patients/RAS/CTA1.nii.gz     one small head, stored in several orientations

A kit proves itself while it is written: a port with a fault in the window or the orientation would
differ in it by far more than the tolerance.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aminet_benchmarks.conformance.head import (
    ORIENTATIONS,
    SHAPE,
    make_atlas,
    make_head,
    write_head,
)
from aminet_runtime import Session
from aminet_runtime.decision import DecisionRule, find_regions
from aminet_runtime.engines.choice import EngineName
from aminet_runtime.errors import GateFailed, UsageError
from aminet_runtime.metadata import Metadata
from aminet_runtime.patient import Channel
from aminet_runtime.publish import publish_folder
from aminet_runtime.selftest import read_selftest

SCHEMA = "aminet.conformance/1"
KIT_JSON = "conformance.json"
PROBABILITY_TOLERANCE = 1e-3
"""Other builds of an engine add up in another order; 1e-6 was seen for the same engine."""
FAULT_MARGIN = 5.0
"""How many times the tolerance each fault must change the answers by."""
SELFTEST_SLICES = 2

CASE_BLIND_KIT = 30
CASE_NO_PHASE = 30

Planes = NDArray[np.float32]


def write_kit(bundle: Path, out: Path, *, engine: EngineName = EngineName.OPENVINO) -> Path:
    """Write the kit of a bundle.

    Args:
        bundle: The bundle's folder; single bundles only.
        out: The kit's folder, new or empty.
        engine: Whose answers are expected: OpenVINO's for hosts that run `model.xml`, ONNX
            Runtime's for those that run `model.onnx`.

    Returns:
        The file that says all.

    Raises:
        UsageError: The bundle reads a SPIRAL map.
        ModelInvalid: The bundle is an ensemble.
        GateFailed: A fault would not show, since the network hardly looks at these slices.
        OutputExists: There is a folder with something in it.
    """
    with Session.open(bundle, threads=1, engine=engine) as session, publish_folder(out) as folder:
        metadata = session.bundle.metadata
        _require_phases(metadata)
        planes = _some_planes(session)
        expected = {
            "schema": SCHEMA,
            "bundle": {"name": metadata.name, "id": metadata.model_id},
            "engine": session.engine_version,
            "tolerance": {"probability": PROBABILITY_TOLERANCE},
            "rule": dataclasses.asdict(metadata.decision),
            "faults_would_show": _faults_that_show(session, planes),
            "slices": [_expect_slice(session, one, folder, i) for i, one in enumerate(planes)],
            "patients": [_expect_patient(session, name, folder) for name in ORIENTATIONS],
            "decisions": _expect_decisions(metadata),
        }
        text = json.dumps(expected, indent=1, allow_nan=False)
        (folder / KIT_JSON).write_text(text + "\n", encoding="utf-8")
    return out / KIT_JSON


def _require_phases(metadata: Metadata) -> None:
    if Channel.SPIRAL in metadata.input.channels:
        raise UsageError(
            f"{metadata.name} reads a SPIRAL map, so there is no kit",
            case=CASE_NO_PHASE,
            hint="name a bundle that reads phases of the CT angiography",
        )


def _some_planes(session: Session) -> list[Planes]:
    """Take slices of the bundle's self-test, and one of the small head for all planes."""
    known = read_selftest(session.bundle).slices_hu[:SELFTEST_SLICES]
    contract = session.bundle.metadata.input
    shown = [channel for channel in contract.channels for _place in range(contract.window)]
    volumes = [_volume(channel, seed) for seed, channel in enumerate(shown)]
    head = np.stack([volume[SHAPE[0] // 2] for volume in volumes])
    return [np.ascontiguousarray(one, np.float32) for one in (*known, head)]


def _volume(channel: Channel, seed: int) -> NDArray[np.int16]:
    """Make the volume [Z, H, W] of one channel of the small head."""
    return make_atlas() if channel is Channel.ATLAS else make_head(seed)


def _faults_that_show(session: Session, planes: Sequence[Planes]) -> dict[str, float]:
    """Measure by how much faulty ports would differ, and refuse to write a kit that is blind."""
    faults: dict[str, Callable[[Planes], Planes]] = {
        "windowed before the network": lambda hu: np.clip((hu + 100.0) / 600.0, 0.0, 1.0),
        "left and right swapped": lambda hu: hu[:, :, ::-1],
        "front and back swapped": lambda hu: hu[:, ::-1],
    }
    shown = {name: _largest_change(session, planes, fault) for name, fault in faults.items()}
    for name, change in shown.items():
        if change < FAULT_MARGIN * PROBABILITY_TOLERANCE:
            raise GateFailed(
                f"a port with slices {name} would differ by {change:.2g} only",
                case=CASE_BLIND_KIT,
                hint="name a bundle that was trained",
            )
    return shown


def _largest_change(
    session: Session, planes: Sequence[Planes], fault: Callable[[Planes], Planes]
) -> float:
    changes = [
        np.abs(session.answer(fault(one)).probabilities - _probabilities(session, one)).max()
        for one in planes
    ]
    return float(max(changes))


def _probabilities(session: Session, planes: Planes) -> Planes:
    return np.array(session.answer(planes).probabilities)  # the engine writes over its own


def _expect_slice(session: Session, planes: Planes, folder: Path, index: int) -> dict[str, Any]:
    path = folder / "slices" / f"{index}.f32"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(planes.astype("<f4").tobytes())
    return {
        "file": path.relative_to(folder).as_posix(),
        "shape": list(planes.shape),
        "probabilities": _probabilities(session, planes).tolist(),
    }


def _expect_patient(session: Session, orientation: str, folder: Path) -> dict[str, Any]:
    patient = folder / "patients" / orientation
    patient.mkdir(parents=True)
    for seed, channel in enumerate(session.bundle.metadata.input.channels):
        path = patient / f"{channel.file_stem}.nii.gz"
        write_head(path, _volume(channel, seed), orientation=orientation)
    result = session.run(patient)
    return {
        "name": orientation,
        "folder": patient.relative_to(folder).as_posix(),
        "probabilities": result.scores.tolist(),
        "regions": [dataclasses.asdict(region) for region in result.regions],
    }


def _expect_decisions(metadata: Metadata) -> list[dict[str, Any]]:
    """Give scores as a network could give them, and what the rule makes of them."""
    rule = metadata.decision
    return [
        {
            "name": name,
            "scores": scores.tolist(),
            "regions": [
                dataclasses.asdict(finding)
                for finding in find_regions(scores, rule, names=metadata.regions.names)
            ],
        }
        for name, scores in _score_cases(rule).items()
    ]


def _score_cases(rule: DecisionRule) -> dict[str, Planes]:
    """Make scores [Z, R] around the thresholds, where a wrong rule decides otherwise."""
    run = rule.min_consecutive_slices
    reached, missed = _around(rule)
    low = np.zeros_like(reached)
    ramp = np.linspace(0.2, 1.0, 5, dtype=np.float32)[:, np.newaxis] * reached
    return {
        "long enough": np.stack([low, *[reached] * run, low]),
        "just below the threshold": np.stack([low, *[missed] * run, low]),
        "interrupted by one slice": np.stack([*[reached] * run, missed, *[reached] * run]),
        "one slice too short": np.stack([low, *[reached] * (run - 1), low, low]),
        "fewer slices than the rule": np.stack([reached]),
        "rising": np.concatenate([ramp, *[reached[np.newaxis]] * run]),
    }


def _around(rule: DecisionRule) -> tuple[Planes, Planes]:
    """Return the lowest float32 [R] that reach the thresholds, and the highest that do not."""
    thresholds = np.array([0.5 if value is None else value for value in rule.thresholds])
    nearest = thresholds.astype(np.float32)
    up = np.nextafter(nearest, np.float32(2.0))
    reached = np.where(nearest.astype(np.float64) >= thresholds, nearest, up)
    return reached, np.nextafter(reached, np.float32(0.0))
