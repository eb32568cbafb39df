# SPDX-License-Identifier: Apache-2.0
"""What a figure was measured on."""

import os
import platform
from pathlib import Path
from typing import Any

from aminet_train.provenance import git_commit, tool_versions

ISA_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")


def describe_machine() -> dict[str, Any]:
    """Return CPU, instruction sets, load, versions and commit as plain JSON values."""
    model, flags = _cpu()
    return {
        "cpu": model,
        "instruction_sets": [flag for flag in ISA_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": tool_versions(),
        "git_commit": git_commit(),
    }


def _cpu() -> tuple[str, frozenset[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor(), frozenset()
    values: dict[str, str] = {}
    for line in lines:
        key, _colon, value = line.partition(":")
        values[key.strip()] = value.strip()
    return values.get("model name", platform.processor()), frozenset(
        values.get("flags", "").split()
    )
