# SPDX-License-Identifier: Apache-2.0
"""What a figure was measured on, and how to play an older machine."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psutil

from aminet_export.isa_sweep import available_isas
from aminet_runtime.cpu import cpu_flags, cpu_name
from aminet_runtime.engines.openvino_import import ISA_VARIABLE, ISAS_LIKE_THE_CAP
from aminet_runtime.errors import UsageError
from aminet_train.provenance import git_commit, tool_versions

ISA_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
NATIVE = "native"
TORCH_VARIABLE = "ATEN_CPU_CAPABILITY"
BUSY_LOAD = 0.5
"""A load per core above this makes absolute times worthless; interleaved ratios stay fair."""


def describe_machine(*, cores: Sequence[int] = ()) -> dict[str, Any]:
    """Return CPU, instruction sets, load, versions and commit as plain JSON values.

    To be asked before the first run: later the load would be our own.

    Args:
        cores: Processors that the runs were bound to.
    """
    return {
        "cpu": cpu_name(),
        "instruction_sets": [flag for flag in ISA_FLAGS if flag in cpu_flags()],
        "playable": list(available_isas()),
        "cores": os.cpu_count(),
        "bound_to": list(cores),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": tool_versions(),
        "git_commit": git_commit(),
        "measured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def machine_line(machine: dict[str, Any]) -> str:
    """Return the machine in one sentence, with a warning where others were at work on it."""
    load, cores = machine.get("load_1min"), machine.get("cores") or 1
    busy = load is not None and load / cores > BUSY_LOAD
    commit = str(machine.get("git_commit"))[:10]
    return (
        f"{machine['cpu']}, {cores} cores, {', '.join(machine['instruction_sets'])}; "
        f"OpenVINO {machine['versions'].get('openvino')}; commit {commit}; "
        f"{machine.get('measured')}; load {load:.1f}"
        + (" (busy: look at the ratios, not at the times)" if busy else "")
    )


def isa_environment(isa: str) -> dict[str, str]:
    """Return the variables that make a process play an instruction set.

    Args:
        isa: Any case, such as `avx2`; `native` for what the machine has, as the runtime caps it.

    Raises:
        UsageError: This machine cannot play it.
    """
    if isa.lower() == NATIVE:
        return {}
    playable = available_isas()
    if isa.upper() not in playable:
        raise UsageError(
            f"this machine cannot play the instruction set {isa}",
            hint=f"it can play {', '.join(playable) or 'none'}",
        )
    variables = {ISA_VARIABLE: isa.upper()}
    if isa.upper().startswith("AVX2"):
        variables[TORCH_VARIABLE] = "avx2"
    return variables


def played_isas() -> tuple[str, ...]:
    """Return the instruction sets whose answers must agree and that this machine can play."""
    return tuple(isa for isa in available_isas() if isa in ISAS_LIKE_THE_CAP)


def distinct_isas(isas: Sequence[str]) -> tuple[str, ...]:
    """Name each instruction set once, in lower case, and what `native` stands for not beside it.

    Args:
        isas: Any case, as for `isa_environment`.
    """
    named = tuple(dict.fromkeys(isa.lower() for isa in isas))
    played = played_isas()
    native = played[-1].lower() if played and NATIVE in named else None
    return tuple(isa for isa in named if isa != native)
