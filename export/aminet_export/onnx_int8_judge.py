# SPDX-License-Identifier: Apache-2.0
"""Test patients judge the INT8 file for ONNX Runtime, as they judge the network that ships.

Whoever runs the file reads the thresholds of the bundle, so it decides by them here. What loses too
much is left out of the bundle, which says so; docs/decisions/0007 has the reasons.
"""

from dataclasses import dataclass
from pathlib import Path

from aminet_export.accuracy import Decided, Drops, HeldOut, f1_drops
from aminet_export.engines import onnx_scorer
from aminet_export.gate import exceeds
from aminet_export.parity import Parity, compare
from aminet_export.source import Source
from aminet_train.cohort.splits import Split


@dataclass(frozen=True, slots=True)
class OnnxInt8Verdict:
    """What test patients say about the INT8 file.

    Attributes:
        drops: From the float network with its own rule to this file with the bundle's.
        against_ir: Its distance from the INT8 network in OpenVINO, on all test patients.
        is_published: Whether the bundle holds the file.
    """

    drops: Drops
    against_ir: Parity
    is_published: bool

    @property
    def summary(self) -> str:
        """The verdict in a few words."""
        drops = "; ".join(f"{level} {drop.drop:+.3f}" for level, drop in self.drops.items())
        apart = self.against_ir
        verdict = "published" if self.is_published else "left out"
        return (
            f"{verdict}, F1 drop on test: {drops}; {apart.slice_decisions_changed} slice and "
            f"{apart.patient_decisions_changed} patient decisions are not those of the IR"
        )

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            "published": self.is_published,
            "drops": {level.value: drop.to_json() for level, drop in self.drops.items()},
            "against_ir": self.against_ir.to_json(),
        }


def judge_onnx_int8(
    source: Source, held_out: HeldOut, path: Path, *, max_drop: float
) -> OnnxInt8Verdict:
    """Score test patients in ONNX Runtime; take the file away if it loses too much.

    Args:
        source: Checkpoint and patients.
        held_out: What the float network and the one that ships say about the same patients.
        path: The file.
        max_drop: Largest loss of F1 against float, at either level.
    """
    scores = source.score_patients(onnx_scorer(path), source.patients[Split.TEST])
    system = Decided(scores, held_out.shipped.rule)
    drops = f1_drops(held_out.reference, system, held_out.labels)
    against_ir = compare(held_out.shipped.scores, scores, system.rule, held_out.labels)
    is_published = not exceeds(drops, max_drop)
    if not is_published:
        path.unlink()
    return OnnxInt8Verdict(drops, against_ir, is_published)
