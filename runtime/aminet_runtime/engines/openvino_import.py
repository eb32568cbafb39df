# SPDX-License-Identifier: Apache-2.0
"""Import OpenVINO so that it makes no network call and computes alike on all machines.

Telemetry: `import openvino` starts a process that looks up a host name and writes below the home
folder. A `None` in `sys.modules` makes the import of that module fail, which OpenVINO provides for.

Arithmetic: with the overflow fix of our exports, AVX2, AVX-512 and VNNI machines give bit-identical
answers; AMX does not (up to .043 in probability was seen), and is no faster on these networks. So
the instruction set is capped at AVX512_CORE_VNNI, unless the user has set ONEDNN_MAX_CPU_ISA to
something else; set to nothing it counts as not set. oneDNN reads the variable when it compiles its
first network, so the cap also holds in a host that has imported OpenVINO before, unless that host
has compiled something already.
"""

import os
import sys
import threading
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from aminet_runtime.errors import ModelIncompatible

if TYPE_CHECKING:
    import openvino

ISA_VARIABLE = "ONEDNN_MAX_CPU_ISA"
ISA_CAP = "AVX512_CORE_VNNI"
ISAS_LIKE_THE_CAP = frozenset({"AVX2", "AVX2_VNNI", "AVX512_CORE", ISA_CAP})
"""Instruction sets that were measured to give bit-identical answers."""

_TELEMETRY = "openvino_telemetry"
_CONVERTER = "openvino.tools.ovc"

one_thread_at_a_time = threading.RLock()
"""To be held while sessions are prepared, for two reasons.

Some functions of OpenVINO's Python bindings set up a C++ static on their first call, and take the
GIL within: two threads that make their first call together wait for each other for ever (seen in
`Tensor.data` with 2026.4, in one of about a hundred processes). And there shall be one core.
"""


def import_openvino() -> ModuleType:
    """Import OpenVINO, or return it if the host has done so already.

    Raises:
        ModelIncompatible: OpenVINO is not installed or does not load here.
    """
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]  # None blocks an import
    if not os.environ.get(ISA_VARIABLE):  # empty, oneDNN would take all that the CPU has
        os.environ[ISA_VARIABLE] = ISA_CAP
    try:
        import openvino  # noqa: PLC0415 - takes 0.1 s and must come after the two lines above
    except (ImportError, OSError) as cause:
        raise ModelIncompatible(
            f"OpenVINO cannot be loaded ({cause})",
            case=1,
            hint="install it again: pip install --force-reinstall openvino",
        ) from cause
    module: ModuleType = openvino
    return module


def shared_core() -> "openvino.Core":
    """Return the one core of this process, which lives as long as the process does.

    OpenVINO's CPU plugin gives the thread an alternate signal stack when it is loaded, and takes
    it away with its core. Of two cores that are not given up in the reverse order, the second
    puts the freed stack of the first back, and the next signal (Ctrl-C, an alarm) is a
    segmentation fault. Seen with OpenVINO 2026.4; a core that stays is never the first.

    Raises:
        ModelIncompatible: OpenVINO is not installed or does not load here.
    """
    with one_thread_at_a_time:
        return _first_core()


@cache
def _first_core() -> "openvino.Core":
    return import_openvino().Core()


def skip_model_converter() -> None:
    """Let a later import of OpenVINO leave out its converter of foreign models: 40 ms less.

    For commands that own their process: `openvino.convert_model` will be missing in it.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]  # None blocks an import


def isa_limit() -> str:
    """Return the instruction set that this process is limited to, or `none`."""
    return os.environ.get(ISA_VARIABLE, "").upper() or "none"


def is_isa_capped() -> bool:
    """Whether the process computes what all machines compute, as far as its settings tell."""
    return isa_limit() in ISAS_LIKE_THE_CAP
