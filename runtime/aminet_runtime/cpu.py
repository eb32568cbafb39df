# SPDX-License-Identifier: Apache-2.0
"""What this CPU is and can, as far as it matters for the answer and the speed."""

import os
import platform
from pathlib import Path

from numpy._core._multiarray_umath import (  # type: ignore[import-not-found]  # no stubs
    __cpu_features__,
)

X86_MACHINES = frozenset({"x86_64", "amd64"})
REQUIRED_ON_X86 = "AVX2"
"""Below it OpenVINO does not compile INT8 networks."""

_FEATURES = {"AVX2": "AVX2", "AVX512_SKX": "AVX-512", "AVX512VNNI": "VNNI", "AVX512BF16": "BF16"}
_CPUINFO = Path("/proc/cpuinfo")


def is_x86() -> bool:
    """Whether the instruction sets of x86 are to be expected."""
    return platform.machine().lower() in X86_MACHINES


def has_required_instructions() -> bool:
    """Whether OpenVINO can run INT8 networks here."""
    return not is_x86() or bool(__cpu_features__.get(REQUIRED_ON_X86, False))


def instruction_sets() -> tuple[str, ...]:
    """Name the instruction sets that matter here, from old to new."""
    return tuple(name for feature, name in _FEATURES.items() if __cpu_features__.get(feature))


def cpu_name() -> str:
    """Return the CPU's name, or that of its architecture."""
    on_windows = os.environ.get("PROCESSOR_IDENTIFIER", "")
    return _first_in_cpuinfo("model name") or on_windows or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return what Linux says that the first processor can, in its words; empty elsewhere."""
    return frozenset(_first_in_cpuinfo("flags").split())


def _first_in_cpuinfo(key: str) -> str:
    """Return the value of a key's first line, or nothing where there is none."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
