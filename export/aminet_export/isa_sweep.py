# SPDX-License-Identifier: Apache-2.0
"""Does every CPU give the same answer? One process plays each instruction set of this machine.

What is swept is the network that ships, on held-out slices, through the whole graph and with the
runtime's settings. A changed decision, or more than .02 in probability, and nothing is published.
AMX is played where it is there, and shown, but does not judge: the runtime caps itself below it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aminet_export.accuracy import Decided, flagged_regions
from aminet_export.gate import CASE_INSTRUCTION_SETS
from aminet_runtime.cpu import cpu_flags
from aminet_runtime.engines.openvino_import import ISA_VARIABLE, ISAS_LIKE_THE_CAP
from aminet_runtime.errors import GateFailed, ModelIncompatible
from aminet_runtime.selftest import TOLERANCE

OLDER_ISAS = ("SSE41", "AVX")
"""Below AVX2, which the runtime asks for: what they give is shown and forbids nothing."""

ISA_FLAGS: Mapping[str, frozenset[str]] = {
    "SSE41": frozenset({"sse4_1"}),
    "AVX": frozenset({"avx"}),
    "AVX2": frozenset({"avx2"}),
    "AVX2_VNNI": frozenset({"avx2", "avx_vnni"}),
    "AVX512_CORE": frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"}),
    "AVX512_CORE_VNNI": frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}),
    "AVX512_CORE_AMX": frozenset({"avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8"}),
}
"""Values of ONEDNN_MAX_CPU_ISA, from old to new, and the CPU flags that each one needs."""

CASE_PROBE = 24

Play = Callable[[str], Sequence[NDArray[np.float32]]]
"""Scores the swept patients under an instruction set: for each patient [n, 15]."""


@dataclass(frozen=True, slots=True)
class IsaRow:
    """One instruction set against the answers of the export itself.

    Attributes:
        isa: Value of ONEDNN_MAX_CPU_ISA.
        judges: Whether the runtime may run under it, and so a difference forbids publication.
        max_difference: Largest difference in probability.
        slice_decisions_changed: Pairs (slice, region) that the slice threshold turns over.
        patient_decisions_changed: Pairs (patient, region) that the decision rule turns over.
    """

    isa: str
    judges: bool
    max_difference: float
    slice_decisions_changed: int
    patient_decisions_changed: int

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sweep:
    """All instruction sets.

    Attributes:
        rows: Those that this machine could play.
        refused: Older ones, for which OpenVINO does not compile the network.
        missing: Those that it has not.
        slices: How many slices were scored under each.
    """

    rows: tuple[IsaRow, ...]
    refused: tuple[str, ...]
    missing: tuple[str, ...]
    slices: int

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        rows = [row.to_json() for row in self.rows]
        return {
            "slices": self.slices,
            "rows": rows,
            "does_not_compile": list(self.refused),
            "not_on_this_machine": list(self.missing),
        }


def available_isas() -> tuple[str, ...]:
    """Name the instruction sets that this machine can play; none where it does not say."""
    flags = cpu_flags()
    return tuple(isa for isa, needed in ISA_FLAGS.items() if needed <= flags)


def sweep(reference: Decided, play: Play, *, isas: Sequence[str]) -> Sweep:
    """Play instruction sets and compare each with the answers of the export.

    Args:
        reference: Scores of the swept patients in this process, and the rule that ships.
        play: Scores the same slices under an instruction set.
        isas: What this machine can play.

    Raises:
        ModelIncompatible: The network does not run under a set that the runtime may run under.
    """
    rows, refused = [], []
    for isa in isas:
        try:
            rows.append(_compare(isa, reference, play(isa)))
        except ModelIncompatible:
            if isa not in OLDER_ISAS:
                raise
            refused.append(isa)
    missing = tuple(isa for isa in ISA_FLAGS if isa not in isas)
    return Sweep(tuple(rows), tuple(refused), missing, sum(map(len, reference.scores)))


def require_same_answers(swept: Sweep) -> None:
    """Refuse a network that CPUs disagree about.

    Raises:
        GateFailed: A decision changes, or a probability by more than the self-test tolerates.
    """
    for row in swept.rows:
        slices, patients = row.slice_decisions_changed, row.patient_decisions_changed
        is_near = row.max_difference <= TOLERANCE  # False for NaN, too
        if row.judges and (slices or patients or not is_near):
            raise GateFailed(
                f"under {row.isa} {slices} slice and {patients} patient decisions change, "
                f"probabilities by up to {row.max_difference:.2g}, on {swept.slices} slices",
                case=CASE_INSTRUCTION_SETS,
                hint="ship fp32 or fp16, and please report this with the checkpoint",
            )


def sweep_table(swept: Sweep) -> str:
    """Return a Markdown table, a row an instruction set."""
    lines = [
        "| instruction set | largest difference | slice decisions changed | patient decisions |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row.isa} | {_shown(row.max_difference)} | {row.slice_decisions_changed} "
        f"| {row.patient_decisions_changed} |"
        for row in swept.rows
    ]
    lines += [f"| {isa} | OpenVINO does not compile it | | |" for isa in swept.refused]
    lines += [f"| {isa} | not on the exporting machine | | |" for isa in swept.missing]
    return "\n".join(lines)


def played_by_process(
    bundle: Path, patients: Sequence[NDArray[np.float32]]
) -> Callable[[str], list[NDArray[np.float32]]]:
    """Return a way to score patients in a fresh process under an instruction set.

    Args:
        bundle: Folder with model.xml and model.bin.
        patients: For each patient, slices float32 [n, C, H, W] in HU.
    """

    def play(isa: str) -> list[NDArray[np.float32]]:
        with tempfile.TemporaryDirectory(prefix="aminet-sweep-") as scratch:
            return [_run_probe(bundle, hu, isa=isa, scratch=Path(scratch)) for hu in patients]

    return play


def _run_probe(
    bundle: Path, slices_hu: NDArray[np.float32], *, isa: str, scratch: Path
) -> NDArray[np.float32]:
    source, target = scratch / "slices.npy", scratch / "scores.npy"
    np.save(source, slices_hu, allow_pickle=False)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "aminet_export.isa_probe",
        bundle,
        source,
        target,
    ]
    environment = {**os.environ, ISA_VARIABLE: isa}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelIncompatible(
            f"the network does not run under {isa} ({last})",
            case=CASE_PROBE,
            hint="export on another machine, and please report this",
        )
    scores: NDArray[np.float32] = np.load(target, allow_pickle=False)
    return scores


def _compare(isa: str, reference: Decided, scores: Sequence[NDArray[np.float32]]) -> IsaRow:
    wanted, found = np.concatenate(reference.scores), np.concatenate(scores)
    threshold = reference.rule.slice_threshold
    patients_changed = flagged_regions(reference) != flagged_regions(
        Decided(scores, reference.rule)
    )
    return IsaRow(
        isa=isa,
        judges=isa in ISAS_LIKE_THE_CAP,
        max_difference=float(np.abs(wanted.astype(np.float64) - found).max()),
        slice_decisions_changed=int(((wanted >= threshold) != (found >= threshold)).sum()),
        patient_decisions_changed=int(patients_changed.sum()),
    )


def _shown(difference: float) -> str:
    return "0, bit-identical" if difference == 0 else f"{difference:.2g}"
