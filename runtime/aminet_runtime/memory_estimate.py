# SPDX-License-Identifier: Apache-2.0
"""How much memory a scan will need, before any of it is allocated. A rough upper bound."""

from aminet_runtime.budget import MIB
from aminet_runtime.bundle import Bundle
from aminet_runtime.slice_window import held_slices

COMPILING_BYTES = 64 * MIB
"""Working memory of the compiler, and the activations at 224 x 224."""

BYTES_PER_MODEL_BYTE = 6
"""The file's bytes, its parsed constants, and the weights in the layout of the kernels."""

BYTES_PER_HU = 4
FULL_SIZE_PLANES = 4
"""At full size: the network's input, the windowed slice, and two for reading and checking."""


def needed_bytes(bundle: Bundle, *, height: int, width: int, step: int, held_bytes: int) -> int:
    """Estimate what one patient takes on top of an opened session.

    Args:
        bundle: What runs.
        height: Rows of a slice.
        width: Columns of a slice.
        step: Slices from one neighbour of a window to the next.
        held_bytes: Volumes that must be held as a whole.
    """
    contract = bundle.metadata.input
    slice_bytes = height * width * BYTES_PER_HU
    full_size = contract.planes * FULL_SIZE_PLANES * slice_bytes
    ring = held_slices(contract.window, step) * len(contract.channels) * slice_bytes
    network = (len(bundle.model_xml) + len(bundle.model_bin)) * BYTES_PER_MODEL_BYTE
    return COMPILING_BYTES + network + full_size + ring + held_bytes
