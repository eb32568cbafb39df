# SPDX-License-Identifier: Apache-2.0
"""Read the arrays of a prepared patient, and say so where one is damaged."""

from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aminet_runtime.errors import InputDamaged

COPY_OR_PREPARE = "copy it again, or delete the folder, prepare again"
NOT_AN_ARRAY = (EOFError, ValueError, SyntaxError, TokenError)
"""What NumPy raises on a damaged file; the last two where its header is not Python any more."""


def load_array(path: Path, *, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    """Read or map an array.

    Raises:
        InputDamaged: It is not there or not whole.
    """
    try:
        values: NDArray[Any] = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except FileNotFoundError as cause:
        raise InputDamaged("is not there", path=path, hint=COPY_OR_PREPARE) from cause
    except NOT_AN_ARRAY as cause:
        message = f"not a whole array: {cause}"
        raise InputDamaged(message, path=path, hint=COPY_OR_PREPARE) from cause
    return values
